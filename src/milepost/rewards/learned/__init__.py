"""Rewards with weights of their own, trained beside the policy."""
