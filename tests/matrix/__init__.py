"""The crash matrix: a crash before and after every step of a close, a second one in recovery, and what came of it."""
