"""What an operator asks: prove, trace, doctor."""
