"""Sureclose: an approved decision to close becomes exactly one confirmed reducing order."""

__version__ = "0.1.0"
