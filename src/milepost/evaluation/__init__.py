"""Evaluation: judges a reward, a representation or an explanation on stored forests."""
