"""A milepost reward as an entry of TRL's `reward_funcs`. The other way needs nothing: see `rewards.function`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from milepost.engines.trl.samples import Group, Sample, forest_of, record_of, text_of
from milepost.errors import SettingError
from milepost.part import Reward
from milepost.rewards import guard

_OF_TRL = ("trainer_state", "log_extra", "log_metric", "environments")
"""What TRL passes beside the columns of the data set."""


@dataclass(kw_only=True, eq=False)
class RewardFunction:
    """A reward of finished trajectories with the signature that TRL calls.

    What cannot be scored is None, never 0; why is in the column "reason.<name>" of TRL's table of completions and in
    the metric "reward/<name>_failed".

    Example:
        >>> from milepost.rewards.text import Format
        >>> function = RewardFunction(reward=Format())
        >>> function(prompts=["1 + 1?", "1 + 1?"], completions=["<answer>2</answer>", "2"])
        [1.0, 0.0]
    """

    reward: Reward
    reasons: Sequence[str | None] = field(default=(), init=False)
    """Of the last call, why each completion has no reward; None where it has one."""

    def __post_init__(self) -> None:
        """Refuse rewards of steps, which one number per completion cannot hold."""
        if self.reward.when != "leaf":
            raise SettingError(
                f"The reward {self.reward.name!r} scores steps, and TRL takes one number per completion: pass it as "
                "step_rewards=(...) of milepost's GRPOTrainer instead."
            )
        self.__name__ = self.reward.name

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """Score completions.

        Args:
            prompts: texts or lists of messages.
            completions: texts or lists of messages.
            completion_ids: tokens of the completions.
            columns: columns of the data set and what TRL adds to them.

        Returns:
            One number per completion, None where there is none.
        """
        own = {name: columns.pop(name) for name in _OF_TRL if name in columns}
        groups = groups_of(prompts, completions, completion_ids, columns)
        version = getattr(own.get("trainer_state"), "global_step", 0) or 0
        forest = guard.score(self.reward, forest_of(groups, version=version))
        leaves, name = forest.leaves(), self.reward.name
        told = forest.text(f"reason.{name}")
        self.reasons = [told[row] for row in leaves.tolist()]
        self._log(own)
        values = cast("list[float]", forest[f"reward.{name}"][leaves].tolist())
        return [None if reason is not None else value for value, reason in zip(values, self.reasons, strict=True)]

    def _log(self, own: Mapping[str, Any]) -> None:
        extra = cast("Callable[[str, list[str]], None] | None", own.get("log_extra"))
        metric = cast("Callable[[str, float], None] | None", own.get("log_metric"))
        failed = [reason or "" for reason in self.reasons]
        if extra is not None:
            extra(f"reason.{self.reward.name}", failed)
        if metric is not None:
            metric(f"reward/{self.reward.name}_failed", math.fsum(bool(one) for one in failed) / max(len(failed), 1))


def groups_of(
    prompts: Sequence[Any],
    completions: Sequence[Any],
    completion_ids: Sequence[Sequence[int]] | None,
    columns: Mapping[str, Sequence[Any]],
) -> list[Group]:
    """Groups of the completions that a reward function is given: neighbours that answer the same task.

    Args:
        prompts: texts or lists of messages, repeated for each completion.
        completions: texts or lists of messages.
        completion_ids: tokens of the completions; None where only texts are known.
        columns: one list per column of the data set.

    Returns:
        The groups, in order.
    """
    found: list[list[Sample]] = []
    last: object = None
    for place, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        record = record_of({**{name: values[place] for name, values in columns.items()}, "prompt": prompt})
        ids = () if completion_ids is None else tuple(completion_ids[place])
        sample = Sample(
            prompt=text_of(prompt),
            texts=(answer_of(completion),),
            record=record,
            ids=ids,
            train=(True,) * len(ids),
        )
        if place == 0 or (prompt, record) != last:
            found.append([])
        last = (prompt, record)
        found[-1].append(sample)
    return [Group(task=f"row:{number:08d}", draw=0, samples=samples) for number, samples in enumerate(found)]


def answer_of(completion: object) -> str:
    """The text of a completion: of messages what the assistant said, joined.

    Args:
        completion: text, or a list of messages.

    Returns:
        The text.
    """
    if isinstance(completion, list):
        said = [one for one in completion if isinstance(one, Mapping) and one.get("role") == "assistant"]
        return "".join(text_of([message]) if message.get("content") else "" for message in said)
    return text_of(completion)
