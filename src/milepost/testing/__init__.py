"""Checks for parts and recipes, the user's own included, and small worlds whose answers are known."""
