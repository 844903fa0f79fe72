"""Objectives: advantages and log-probabilities to a loss."""
