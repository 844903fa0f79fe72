"""Environments: what answers an action, and the tasks they offer."""
