"""One of two processes that train together; started by `torch.distributed.run` with a folder as its argument."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from quick_start import WIDTH, trained

from milepost.credit.group import Normalised
from milepost.engines.trl import GRPOTrainer
from milepost.engines.trl.recipes import Parts
from milepost.recipes import vas
from milepost.storage import write

PER_PROCESS = 6
"""No multiple of the group's size: the second of three groups lies on both processes."""


def main(folder: Path) -> None:
    """Train one step and write what this process saw."""
    kept = []
    choice = vas.build(width=WIDTH, refresh_every=0).choice
    parts = Parts(credit=Normalised(ddof=1, eps=1e-4), choice=choice)
    settings = {"max_steps": 2, "per_device_train_batch_size": PER_PROCESS, "ddp_backend": "gloo"}
    trainer = trained(GRPOTrainer, folder / "out", parts=parts, on_forest=kept.append, settings=settings)
    seen = [
        {
            "prompts": [row["prompt"] for row in rows],
            "ids": [
                ids[mask.bool()].tolist() for ids, mask in zip(o["completion_ids"], o["completion_mask"], strict=True)
            ],
            "credit": o["advantages"][:, 0].tolist(),
            "items": int(o["num_items_in_batch"]),
        }
        for rows, o in zip(trainer.inputs, trainer.outputs, strict=True)
    ]
    weights = float(sum(value.detach().double().abs().sum() for value in trainer.model.parameters()))
    record = {"seen": seen, "weights": weights, "forests": len(kept)}
    (folder / f"rank{os.environ['RANK']}.json").write_text(json.dumps(record), encoding="utf-8")
    for number, forest in enumerate(kept):
        write(forest, folder / f"forest{number}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
