"""A trained process reward model as a reward of steps: how likely a step is good, read off the end of the step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from milepost import optional
from milepost.forest import Forest
from milepost.part import Scores
from milepost.rewards import failure


@dataclass(frozen=True, kw_only=True)
class ProcessReward:
    """Probability of the class "good" at the last token that the policy chose in a step. Implements `part.Reward`.

        r_i = softmax(logits at the end of step i)_1

    A trajectory is read once for all of its steps; what comes after a step does not reach its end.

    Source: Lightman et al. 2023, arXiv:2305.20050, section 2.4, with the classifier of this repository.
    """

    folder: str
    """Where `engines.trl.process` saved the model."""
    name: str = "process"
    when: ClassVar[Literal["step", "leaf"]] = "step"
    side: ClassVar[Literal["before", "after"]] = "after"
    reads = ("tokens.id", "tokens.train")
    range = (0.0, 1.0)

    @torch.no_grad()
    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score steps; one without a token of the policy's is not ok."""
        model = _loaded(self.folder)
        ids, train = forest.ragged("tokens.id"), forest.ragged("tokens.train")
        wanted = set(rows.tolist())
        found: dict[int, float] = {}
        for leaf in forest.leaves().tolist():
            path = forest.path(leaf).tolist()
            if not wanted.intersection(path) - set(found):
                continue
            tokens = torch.cat([ids[step] for step in path]).long()
            good = model(input_ids=tokens[None]).logits[0].float().softmax(-1)[:, 1]
            place = 0
            for step in path:
                mine = train[step].nonzero().flatten()
                if step in wanted and step not in found and len(mine):
                    found[step] = float(good[place + int(mine[-1])])
                place += len(ids[step])
        known = [found.get(row) for row in rows.tolist()]
        none = failure.reason("reward_error", "the step has no token of the policy's")
        return Scores(
            values=torch.tensor([torch.nan if value is None else value for value in known], dtype=torch.float32),
            ok=torch.tensor([value is not None for value in known], dtype=torch.bool),
            reasons=[none if value is None else None for value in known],
        )


@lru_cache(maxsize=2)
def _loaded(folder: str) -> Any:
    transformers = optional.load("transformers", extra="lm", purpose="A process reward model")
    model = transformers.AutoModelForTokenClassification.from_pretrained(
        folder, local_files_only=True, use_safetensors=True
    )
    return model.eval()
