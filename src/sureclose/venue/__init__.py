"""The exchange behind a port: REST, streams, signing, errors, filters."""
