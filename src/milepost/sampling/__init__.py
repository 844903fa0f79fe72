"""Samplers (which steps to extend) and task choice (which tasks to roll out)."""
