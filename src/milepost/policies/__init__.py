"""Policies: what proposes steps and gives the log-probability of stored ones."""
