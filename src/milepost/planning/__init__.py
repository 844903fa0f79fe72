"""Paths between two states at the least length: the set that can still improve one, and the planner that samples it."""
