"""The HTTP door: ask for closes, see how far they are."""
