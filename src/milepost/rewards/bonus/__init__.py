"""Exploration bonuses: a predictor learns random targets, and what it has not learned yet is new."""
