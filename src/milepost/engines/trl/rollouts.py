"""A sampler of milepost's as TRL's rollout function: trees in an environment, laid out as completions.

TRL wants the same number of completions for every prompt. A tree becomes one line for each of its leaves, and lines
that are missing are padded: one token that no loss touches and that has no reward. What several lines share is trained
in the first of them only, so every step counts once, as in the local engine.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from milepost import keys
from milepost.credit.tokens import lay_out
from milepost.engines.beside.learned import Beside
from milepost.engines.settings import UpdateSettings
from milepost.engines.trl.samples import TASK, task_of
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.part import Environment, Sampler, TaskEnvironment
from milepost.policies.causal_lm import CausalLM
from milepost.policies.decoding import Decoding
from milepost.ragged import Ragged
from milepost.recipe import LearnedReward
from milepost.rewards.combine import Scored
from milepost.sampling.frontier import grow, numbered
from milepost.sampling.independent import Independent

TOTAL = "milepost_total"
"""Column in which a rollout tells TRL the total of each line."""


@dataclass(kw_only=True)
class Progress:
    """What a checkpoint has to know of rollouts."""

    generations: int = 0
    """Calls so far: no two have the same key."""
    draws: dict[str, int] = field(default_factory=dict[str, int])
    """Draws so far by task."""


@dataclass(kw_only=True, eq=False)
class Rollouts:
    """What TRL calls in place of its own generation."""

    sampler: Sampler
    environment: Environment
    scorer: Scored
    progress: Progress = field(default_factory=Progress)
    asked: Sequence[Mapping[str, Any]] = ()
    """Rows of the data set that TRL is about to answer, each repeated for its group."""
    grown: Forest | None = None
    """What the last call grew, scored."""

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> dict[str, list[Any]]:
        """Grow a tree for each group.

        Args:
            prompts: as TRL repeats them.
            trainer: TRL's.

        Returns:
            `prompt_ids`, `completion_ids`, `logprobs`, `env_mask`, and the total of each line under `TOTAL`.

        Raises:
            SettingError: a group lies on two processes, or a tree has more leaves than TRL has places.
        """
        training = bool(trainer.model.training)
        width = int(trainer.num_generations if training else trainer.num_generations_eval)
        if len(prompts) % width or len(self.asked) != len(prompts):
            raise SettingError(
                f"This process has {len(prompts)} rows, which are no groups of {width}: a tree cannot grow on two "
                "processes. Let per_device_train_batch_size * steps_per_generation be a multiple of num_generations."
            )
        draws = numbered([task_of(row) for row in self.asked[::width]], self.progress.draws)
        seed = keys.root(int(trainer.args.seed))
        key = keys.fold(seed, "trl", "rollout", self.progress.generations, int(trainer.accelerator.process_index))
        self.progress.generations += 1
        with policy_of(trainer, stop=tuple(getattr(self.environment, "stop", ()))) as policy:
            sampler = self.sampler if training else Independent(width=width)
            forest = grow(draws, policy=policy, environment=self.environment, sampler=sampler, key=key)
        self.grown = self.scorer(forest, torch.arange(len(forest)))
        return _told(self.grown, lines_of(self.grown, width), int(trainer._tokenizer.eos_token_id))


def _told(forest: Forest, lines: Ragged, pad: int) -> dict[str, list[Any]]:
    ids, train, log_prob = forest["tokens.id"], forest["tokens.train"], forest["tokens.log_prob"]
    source = lay_out(forest, lines)
    mine = once(source)
    ok, total = forest["ok.total"], forest["reward.total"]
    roots = forest.roots().repeat_interleave(len(lines) // len(forest.roots()))
    found: dict[str, list[Any]] = {n: [] for n in ("prompt_ids", "completion_ids", "logprobs", "env_mask", TOTAL)}
    for number in range(len(lines)):
        at = source[number][source[number] >= 0]
        empty = len(at) == 0
        leaf = -1 if empty else int(lines[number][-1])
        found["prompt_ids"].append(forest.ragged("tokens.id")[int(roots[number])].tolist())
        found["completion_ids"].append([pad] if empty else ids[at].tolist())
        found["logprobs"].append([0.0] if empty else log_prob[at].tolist())
        found["env_mask"].append([0] if empty else (train[at] & mine[number, : len(at)]).long().tolist())
        found[TOTAL].append(None if empty or not bool(ok[leaf]) else float(total[leaf]))
    return found


def lines_of(forest: Forest, width: int) -> Ragged:
    """One line for each leaf, tree by tree, and empty lines up to a fixed number for each tree.

    Args:
        forest: the trees.
        width: lines per tree.

    Returns:
        The rows of each line from the root down, without the root.

    Raises:
        SettingError: a tree has more leaves.
    """
    leaves, root = forest.leaves(), forest.root_of()
    found: list[list[int]] = []
    for tree in forest.roots().tolist():
        own = leaves[root[leaves] == tree].tolist()
        if len(own) > width:
            raise SettingError(
                f"A tree has {len(own)} leaves, and TRL has num_generations={width} places for each prompt: set it to "
                "at least the largest number of leaves of the sampler, or let the sampler branch less."
            )
        found += [forest.path(leaf)[1:].tolist() for leaf in own] + [[] for _ in range(width - len(own))]
    return Ragged.of(found, torch.int64)


def once(source: Int[Tensor, "b t"]) -> Bool[Tensor, "b t"]:
    """Which places hold a token for the first time.

    Args:
        source: of `credit.tokens.lay_out`: position of each token, -1 for padding.

    Returns:
        True for the first line that holds a token, false for the others and for padding.
    """
    flat = source.flatten()
    real = (flat >= 0).nonzero().squeeze(1)
    if len(real) == 0:
        return torch.zeros_like(source, dtype=torch.bool)
    first = torch.full((int(flat.max()) + 1,), len(flat), dtype=torch.int64)
    first = first.scatter_reduce(0, flat[real], real, "amin")
    return torch.zeros(len(flat), dtype=torch.bool).index_fill(0, first[flat[real]], True).view_as(source)


@contextmanager
def policy_of(trainer: Any, *, stop: tuple[str, ...] = ()) -> Generator[CausalLM]:
    """The model that TRL trains, as a policy, for a while: without dropout, and without gradients.

    Args:
        trainer: TRL's.
        stop: strings that end an answer.

    Yields:
        The policy, with TRL's temperature, nucleus and length.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    was, attention = bool(model.training), model.config._attn_implementation
    args = trainer.args
    decoding = Decoding(
        temperature=args.temperature, top_p=args.top_p, max_tokens=args.max_completion_length, stop=stop
    )
    version = int(trainer.state.global_step)
    try:
        with torch.no_grad():
            yield CausalLM(model=model, tokenizer=trainer._tokenizer, decoding=decoding, version=version)
    finally:
        model.train(was)
        if model.config._attn_implementation != attention:
            model.set_attn_implementation(attention)  # reading shared prefixes takes its own


def learner_of(part: LearnedReward, trainer: Any) -> Beside:
    """What learns a recipe's reward beside TRL's policy.

    Args:
        part: what is learned.
        trainer: TRL's, before its first step: the reward's weights begin as those of the policy.

    Returns:
        The learner.
    """
    model = copy.deepcopy(trainer.accelerator.unwrap_model(trainer.model))
    for module in model.modules():  # accelerate wraps `forward` of the instance, and the copy's would run the original
        for name in ("forward", "_original_forward"):
            vars(module).pop(name, None)
    decoding = Decoding(temperature=trainer.args.temperature)
    return Beside.of(part, CausalLM(model=model, tokenizer=trainer._tokenizer, decoding=decoding), UpdateSettings())


def with_log_prob(forest: Forest, trainer: Any) -> Forest:
    """A forest with the log-probability of its tokens under the policy that sampled them.

    Args:
        forest: with tokens.
        trainer: TRL's, before the update.

    Returns:
        The forest as it is where it knows them, else with those of the model as it is now.
    """
    if "tokens.log_prob" in forest:
        return forest
    with policy_of(trainer) as policy:
        return forest.with_columns({"tokens.log_prob": policy.log_prob(forest, torch.arange(len(forest))).float()})


def rows_for(environment: TaskEnvironment) -> list[dict[str, str]]:
    """Rows of a data set for TRL: the training tasks of an environment.

    Args:
        environment: the environment.

    Returns:
        For each task `prompt`, what is asked, and `milepost_task`, its JSON, with which the environment starts.
    """
    found: list[dict[str, str]] = []
    for task in environment.train():
        shown = environment.reset(task, 0).observation
        text = shown.text if shown.text is not None else str(shown.messages[-1]["content"])
        record = {"id": task.id, "record": task.record, "family": task.family}
        found.append({"prompt": text, TASK: json.dumps(record, ensure_ascii=False, sort_keys=True)})
    return found


def milepost(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
    """The reward function that TRL sees beside a rollout: the total that was written there, None for padding.

    Args:
        prompts: not used.
        completions: not used.
        columns: of the rollout.

    Returns:
        One number per line.
    """
    del prompts
    return list(cast("Sequence[float | None]", columns.get(TOTAL, [None] * len(completions))))
