"""Checking a journal offline, against its own rules and the exchange's records. May know the journal and the domain."""
