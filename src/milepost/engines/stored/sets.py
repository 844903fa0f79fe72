"""Data sets of TRL's trainers from what is stored: conversations with rewards, and grown forests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from milepost import checks
from milepost.bridges import trl_sets
from milepost.curation.pairs import attempts, rows
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.traces.forests import traces_of
from milepost.traces.record import Fault, Trace

Found = attempts.Row | Fault


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Which data set is made, and what counts as good.

    Conversations are compared as a whole, attempt by attempt. A grown forest is compared step by step: by its credit
    where a credit rule has written some, such as `credit.tree.preferred.Preferred`, else by the reward of siblings.
    """

    target: str
    """One of `attempts.TARGETS`."""
    reward: str = ""
    """Name of the reward; "" is "total", else "outcome", else the only one."""
    least: float = 1.0
    """Smallest reward that is imitated or counts as good, in reward units."""

    def __post_init__(self) -> None:
        """Check the target."""
        checks.one_of("target", self.target, tuple(attempts.TARGETS))

    def of_traces(self, traces: Iterable[Trace | Fault]) -> Iterator[Found]:
        """Rows of conversations with rewards.

        Args:
            traces: conversations; faults among them go through.

        Yields:
            Rows, and why a conversation cannot be used. Pairs come when all has been read.
        """
        refused: list[Fault] = []
        made = self._made(_good(attempts.attempts(traces, self.reward), refused))
        for row in made:
            while refused:
                yield refused.pop(0)
            yield row
        yield from refused

    def _made(self, found: Iterator[attempts.Attempt]) -> Iterator[attempts.Row]:
        if self.target == "sft":
            return attempts.imitated(found, self.least)
        if self.target == "kto":
            return attempts.judged(found, self.least)
        pairs = attempts.compared(found)
        return attempts.whole(pairs) if self.target == "reward" else pairs

    def of_forests(self, forests: Iterable[Forest]) -> Iterator[Found]:
        """Rows of stored forests.

        Args:
            forests: all grown, or all of stored conversations. Where curation has written `keep` into conversations and
                no reward is named, what is kept has the reward 1 and all else 0.

        Yields:
            Rows, and why a conversation cannot be used.

        Raises:
            ColumnError: a forest has neither credit nor the reward.
        """
        conversations: list[Trace] = []
        for forest in forests:
            if "extra_text.role" in forest:
                conversations += traces_of(self._kept(forest))
            else:
                yield from self._of_grown(forest)
        yield from self.of_traces(conversations)

    def _kept(self, forest: Forest) -> Forest:
        """The forest with `keep` as its only reward, where that is what counts."""
        if self.reward or "keep" not in forest:
            return forest
        leaf = torch.zeros(len(forest), dtype=torch.bool).index_fill(0, forest.leaves(), True)
        kept = (forest["keep"] & forest.valid("keep")).float()
        return forest.with_columns({"reward.total": kept, "ok.total": leaf})

    def _of_grown(self, forest: Forest) -> Iterator[attempts.Row]:
        if self.target == "sft" and "keep" in forest and not self.reward:
            return rows.conversation_rows(forest)
        if "advantage" in forest and not self.reward and self.target != "sft":
            by_credit: dict[str, Callable[[Forest], Iterator[attempts.Row]]] = {
                "dpo": rows.preference_rows,
                "reward": rows.reward_rows,
                "kto": rows.unpaired_rows,
            }
            return by_credit[self.target](forest)
        name = self.reward or "total"
        if f"reward.{name}" not in forest:
            raise ColumnError(
                f"The forest has no 'advantage' and no 'reward.{name}': name another reward, or score it first with "
                "milepost score."
            )
        return iter(self._by_reward(forest, name))

    def _by_reward(self, forest: Forest, name: str) -> Iterable[attempts.Row]:
        if self.target == "sft":
            good = (
                forest[f"ok.{name}"].bool() & forest.valid(f"reward.{name}") & (forest[f"reward.{name}"] >= self.least)
            )
            return rows.conversation_rows(forest, good)
        if self.target == "kto":
            return trl_sets.labelled(forest, least=self.least, reward=name)
        pairs: list[dict[str, Any]] = trl_sets.pairs(forest, reward=name)
        return attempts.whole(pairs) if self.target == "reward" else pairs


def _good(found: Iterable[attempts.Attempt | Fault], refused: list[Fault]) -> Iterator[attempts.Attempt]:
    for one in found:
        if isinstance(one, Fault):
            refused.append(one)
        else:
            yield one
