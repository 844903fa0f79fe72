"""Measurements of agents: preferences of steps, conversations of a small model, caps on turns."""
