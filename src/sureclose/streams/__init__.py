"""The wire of the log: codec, groups, readers, stage runner, embedded server."""
