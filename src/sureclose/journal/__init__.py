"""The append-only record of what every close did, and the scripts that guard it."""
