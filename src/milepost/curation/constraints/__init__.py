"""Constraints: effects that a conversation must have on a database, which make tasks and check what became of them."""
