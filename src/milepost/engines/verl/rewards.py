"""milepost's rewards as verl's reward function: `reward.custom_reward_function.path=pkg://milepost.engines.verl.rewards`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from milepost.engines.trl.samples import Group, Sample, forest_of, record_of
from milepost.errors import SettingError
from milepost.part import Reward
from milepost.rewards import guard
from milepost.rewards.function import Function, load_function


@lru_cache(maxsize=16)
def load(source: str) -> Reward:
    """Load a reward of finished trajectories.

    Args:
        source: "module:Class" of a reward part, or "module:function" or "file.py:function" with TRL's signature.

    Returns:
        The reward, a class with its default settings.

    Raises:
        SettingError: it cannot be loaded, or scores steps.
    """
    found: Any = load_function(source)
    reward = found() if isinstance(found, type) else Function(source=source)
    if reward.when != "leaf":
        raise SettingError(f"{source} scores steps, and verl's reward function is asked about finished answers only.")
    return reward


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: object,
    extra_info: Mapping[str, Any] | None = None,
    *,
    reward: str = "milepost.rewards.outcome:Outcome",
    verifier: str = "exact",
    **_rest: Any,
) -> dict[str, Any]:
    """Score one answer, as verl's naive reward manager asks.

    Args:
        data_source: name of the data set.
        solution_str: the answer.
        ground_truth: becomes "answer" of the record.
        extra_info: further fields of the record; "question" or "prompt" is what was asked.
        reward: which one, see `load`; set by `reward_kwargs`.
        verifier: how answers are compared, where the record does not say.
        _rest: whatever else verl passes; not used.

    Returns:
        "score", NaN where there is none (milepost's estimators leave such an answer out; verl's own do not),
        "ok" (1 or 0) and "reason" ("" where ok).
    """
    extra = dict(extra_info or {})
    prompt = str(extra.get("prompt", extra.get("question", "")))
    record = {"verifier": verifier, "data_source": data_source, **record_of({**extra, "prompt": prompt})}
    record["answer"] = ground_truth
    sample = Sample(prompt=prompt, texts=(solution_str,), record=record)
    part = load(reward)
    forest = guard.score(part, forest_of([Group(task=data_source, draw=0, samples=[sample])]))
    reason = forest.text(f"reason.{part.name}")[1]
    score = math.nan if reason is not None else float(forest[f"reward.{part.name}"][1])
    return {"score": score, "ok": int(reason is None), "reason": reason or ""}
