"""One file a role, each a few lines around a domain function."""
