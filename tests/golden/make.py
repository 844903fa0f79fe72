"""Makes the golden folder of the present schema: `python -m tests.golden.make`, once per schema, from a clean tree.

What lies in `tests/golden/schema-<n>/` was written by the milepost of its day and must be read for ever.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from milepost import storage
from milepost.forest import Forest
from milepost.ragged import Ragged

HERE = Path(__file__).parent


def forest() -> Forest:
    """Two tasks, three answers, every kind of column, missing values, a failed reward, a chain and a fork."""
    ids = Ragged.of([[1, 2], [3], [4, 5, 6], [], [7]], torch.int32)
    columns = {
        "task": ["sum:1", "sum:2", None, None, None],
        "record": ['{"a": 1}', "{}", None, None, None],
        "draw": [0, 1, None, None, None],
        "key": [2**63 - 1, -(2**63), 0, -1, 7],
        "origin": [4, 4, 0, 0, 2],
        "end": [0, 0, 0, 1, 8],
        "discount": [1.0, 1.0, 0.5, 0.0, 0.25],
        "text": [None, "", "grüße\n", "\0", "😀"],
        "tokens.id": ids,
        "tokens.role": Ragged(torch.tensor([0, 0, 0, 1, 2, 3, 4], dtype=torch.int8), ids.offsets),
        "tokens.train": Ragged(torch.tensor([False, False, False, True, False, False, True]), ids.offsets),
        "tokens.log_prob": Ragged(torch.tensor([0.0, 0.0, 0.0, -0.5, 0.0, 0.0, -1e-30]), ids.offsets),
        "reward.total": torch.tensor([torch.nan, torch.nan, torch.inf, 0.1, -0.0]),
        "ok.total": [False, False, False, True, True],
        "reason.total": [None, None, "reward_error: it raised", None, None],
        "advantage": [None, None, 0.0, 0.5, -0.5],
        "keep": [True, False, None, True, True],
        "cost.tokens": [0.0, 0.0, 3.0, 1.5, None],
        "latent": torch.arange(30, dtype=torch.float32).view(5, 2, 3),
        "extra.brain": torch.arange(5).bfloat16(),
        "extra.half": torch.arange(5).half(),
        "extra.wide": torch.arange(10).view(5, 2).to(torch.int16),
        "observation": torch.zeros(5, 0, 2),
    }
    chosen = torch.tensor([False, False, False, True, False, False, True])
    made = Forest.of([-1, -1, 0, 2, 0], columns).with_valid("tokens.log_prob", chosen)
    return made.with_valid("latent", torch.tensor([True, False, True, True, True]))


def main() -> None:
    """Write the folder; refuse to touch one that exists, or to write from a dirty tree."""
    out = HERE / f"schema-{storage.SCHEMA}"
    command = ["git", "status", "--porcelain", "src/milepost/storage.py", "src/milepost/tables.py", "tests/golden"]
    dirty = subprocess.run(command, capture_output=True, text=True, check=True)
    if out.exists() or dirty.stdout:
        sys.exit(f"{out} exists, or the tree is dirty: a golden folder is written once, from a commit.\n{dirty.stdout}")
    storage.write(forest(), out)


if __name__ == "__main__":
    main()
