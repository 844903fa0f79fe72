"""Pairs and other data sets for trainers, from forests whose steps have credit."""
