"""Small policies found by search over their numbers, without a gradient."""
