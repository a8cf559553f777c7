"""The deciding side: what harvest watches, whom it asks, and what it publishes."""
