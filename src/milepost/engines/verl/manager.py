"""A reward manager for verl: `reward.reward_manager.source=importlib`, `.name=RewardManager`, this module as its path.

It asks a reward of milepost's in a thread, so that one that waits for a judge holds up no other trajectory, and hands
on why a reward could not be had. Which reward is set as for the function, by
`reward.custom_reward_function.reward_kwargs`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, cast

from milepost import optional
from milepost.engines.verl.rewards import compute_score

_PURPOSE = "A reward manager of verl's"


async def scored(data: Any, tokenizer: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Score the last output of a session.

    Args:
        data: verl's batch of all outputs of a session.
        tokenizer: of the model.
        settings: for `rewards.compute_score`: "reward" and "verifier".

    Returns:
        "reward_score", NaN where there is none, and "reward_extra_info" with "ok" and "reason".
    """
    item = data[-1:][0]
    answer = item.batch["responses"]
    size = int(item.batch["attention_mask"][-len(answer) :].sum())
    others = cast("Mapping[str, Any]", item.non_tensor_batch)
    extra = dict(others.get("extra_info") or {})
    extra.setdefault("prompt", others.get("raw_prompt", ""))
    ask = partial(
        compute_score,
        data_source=str(others.get("data_source", "")),
        solution_str=tokenizer.decode(answer[:size], skip_special_tokens=True),
        ground_truth=(others.get("reward_model") or {}).get("ground_truth"),
        extra_info=extra,
        **settings,
    )
    found = await asyncio.get_running_loop().run_in_executor(None, ask)
    told = {"ok": found["ok"], "reason": found["reason"]}
    return {"reward_score": found["score"], "reward_extra_info": told}


@lru_cache(maxsize=1)
def manager_class() -> Any:
    """The class that verl loads by the name `RewardManager`.

    Returns:
        A subclass of verl's `RewardManagerBase`.

    Raises:
        MissingExtra: verl is not installed.
    """
    base = optional.load("verl.experimental.reward_loop.reward_manager.base", extra="verl", purpose=_PURPOSE)

    def __init__(self: Any, config: Any, tokenizer: Any, compute_score: Any = None, **_rest: Any) -> None:  # noqa: N807
        base.RewardManagerBase.__init__(self, config, tokenizer, compute_score)

    async def run_single(self: Any, data: Any) -> dict[str, Any]:
        chosen = self.config.reward.get("custom_reward_function") or {}
        return await scored(data, self.tokenizer, dict(chosen.get("reward_kwargs") or {}))

    return type("RewardManager", (base.RewardManagerBase,), {"__init__": __init__, "run_single": run_single})


def __getattr__(name: str) -> Any:
    """The class, made when verl asks for it."""
    if name == "RewardManager":
        return manager_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
