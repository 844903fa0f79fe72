"""Stored runs and forests, read without torch, and the numbers that are computed from them."""
