"""Words and rules. No I/O, no clock, no asyncio."""
