"""Rewards: a number per step, or not ok with a reason; a failed reward is data and never 0."""
