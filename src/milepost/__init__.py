"""milepost: reward-guided trajectory sampling on one data model, a forest of steps.

The root package imports nothing heavy: `milepost.forest`, `milepost.credit` and the other stages import torch when they
are imported.
"""

__version__ = "0.1.0"
