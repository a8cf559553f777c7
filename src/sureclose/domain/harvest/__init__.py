"""When to close: the deciding rules of harvest, pure."""
