"""Rewards of how a question is split into queries, and of whether what was found covers them."""
