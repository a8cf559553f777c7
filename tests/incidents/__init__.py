"""The venue's incidents, and those of other systems, as regressions: each test is named after the one that it keeps away."""
