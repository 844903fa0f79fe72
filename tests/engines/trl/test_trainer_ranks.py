"""Two processes: a group that lies on both is one group, and both draw the same tasks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from milepost import storage
from tests.engines.trl.quick_start import WIDTH

pytestmark = pytest.mark.trainers
ROOT = Path(__file__).resolve().parents[3]


def test_trap_groups_that_straddle_processes(tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, str(Path(__file__).with_name("two_ranks.py")), str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-4000:]
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1))
    assert first["weights"] == second["weights"]
    assert (first["forests"], second["forests"]) == (2, 0)
    for number, (one, other) in enumerate(zip(first["seen"], second["seen"], strict=True)):
        prompts, ids = one["prompts"] + other["prompts"], one["ids"] + other["ids"]
        groups = [prompts[at : at + WIDTH] for at in range(0, len(prompts), WIDTH)]
        assert [len(set(group)) for group in groups] == [1, 1, 1]
        reward = torch.tensor([float(sum(row) % 2) for row in ids]).view(-1, WIDTH)
        wanted = (reward - reward.mean(1, keepdim=True)) / (reward.std(1, keepdim=True) + 1e-4)
        credit = torch.tensor(one["credit"] + other["credit"]).view(-1, WIDTH)
        assert (credit - wanted).abs().max() < 1e-6
        assert wanted[1].abs().max() > 0  # the group on both processes says something
        assert one["items"] == other["items"] == sum(map(len, ids))
        forest = storage.read(tmp_path / f"forest{number}")
        assert [forest.ragged("tokens.id")[row].tolist() for row in forest.leaves().tolist()] == ids
