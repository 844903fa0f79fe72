"""The example configurations, composed with verl's own."""

from __future__ import annotations

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "verl"


def composed(name: str, *overrides: str) -> DictConfig:
    """An example as verl reads it."""
    with initialize_config_dir(config_dir=str(EXAMPLES), version_base=None):
        return compose(config_name=name, overrides=list(overrides))
