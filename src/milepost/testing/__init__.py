"""Checks for parts and recipes, the user's own included, and small worlds whose answers are known.

`check_part`, `check_reward`, `check_environment`, `check_policy`, `check_sampler`, `check_choice` and `check_recipe`
raise an `AssertionError` that lists every broken promise; `milepost.testing.worlds` holds the worlds.
"""

from milepost.testing.actors import check_environment, check_policy, check_reward
from milepost.testing.parts import check_part
from milepost.testing.recipes import check_recipe
from milepost.testing.strategies import check_choice, check_sampler

__all__ = [
    "check_choice",
    "check_environment",
    "check_part",
    "check_policy",
    "check_recipe",
    "check_reward",
    "check_sampler",
]
