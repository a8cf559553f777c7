"""Who may execute: how the record changes, who watches it, and what each process says of itself."""
