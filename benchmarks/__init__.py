"""What `make bench` measures: rows 1 to 3 of the budget in the design, beside a floor in the same run."""
