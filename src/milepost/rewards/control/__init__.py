"""Rewards of control tasks."""
