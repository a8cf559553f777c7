"""The baseline safety controller: it watches a frozen account that nobody executes for."""
