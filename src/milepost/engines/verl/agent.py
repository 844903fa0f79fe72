"""An agent loop of verl's that grows a tree with a recipe's sampler, and hands over its leaves with dense rewards.

A session of verl's is one tree, and each of its leaves one output. What a line holds for each token is the credit that
the recipe's rule gave its step, or, without a rule, the reward of a step on its last token. verl's trainer hands
nothing else of ours to an estimator: `algorithm.adv_estimator=milepost_given` takes these numbers as the advantages.
Tokens that lines share are trained in the first of them. Name it in the file of `rollout.agent.agent_loop_config_path`.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, cast

import torch

from milepost import keys, optional
from milepost import recipe as recipes
from milepost.credit.tokens import lay_out, token_credit
from milepost.engines.trl.rollouts import once
from milepost.engines.trl.samples import TASK, record_of
from milepost.engines.trl.trainer import below_roots
from milepost.engines.verl.batches import on_last
from milepost.engines.verl.replay import TOTAL
from milepost.engines.verl.serving import Served
from milepost.environments import by_name
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.objectives.siblings import SiblingPreference
from milepost.part import Environment, StatefulCredit, Task
from milepost.recipe import Train
from milepost.rewards.combine import Scored
from milepost.sampling.frontier import Draw, grow

_PURPOSE = "An agent loop of verl's"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One trajectory of a tree, as verl's outputs hold it."""

    prompt_ids: list[int]
    response_ids: list[int]
    response_mask: list[int]
    response_logprobs: list[float]
    token_rewards: list[float]
    """One per token of the response."""
    total: float | None
    """Reward of the whole trajectory; None where it has none."""
    rows: list[int]
    """Row of the forest that each of its steps is."""


def lines_of(forest: Forest) -> list[Line]:
    """The trajectories of a scored forest.

    Args:
        forest: with tokens and their log-probabilities; with `advantage` its credit is what tokens hold.

    Returns:
        One line per leaf below a root that has a token.

    Raises:
        ColumnError: the forest lacks a column.
    """
    lines = below_roots(forest)
    source = lay_out(forest, lines)
    credited = "advantage" in forest
    value = token_credit(forest) if credited else on_last(forest)
    train = forest["tokens.train"] & (forest.valid("advantage")[forest.token_row] if credited else True)
    mine, leaves, root = once(source), forest.leaves().tolist(), forest.root_of()
    found: list[Line] = []
    for number, leaf in enumerate(leaves):
        at, fresh = source[number][source[number] >= 0], mine[number][source[number] >= 0]
        if len(at) == 0:
            continue
        ok = bool(forest["ok.total"][leaf])
        found.append(
            Line(
                prompt_ids=forest.ragged("tokens.id")[int(root[leaf])].tolist(),
                response_ids=forest["tokens.id"][at].tolist(),
                response_mask=(train[at] & fresh).long().tolist(),
                response_logprobs=forest["tokens.log_prob"][at].tolist(),
                token_rewards=torch.where(fresh, value[at].float(), 0).tolist(),
                total=float(forest["reward.total"][leaf]) if ok else None,
                rows=lines[number].tolist(),
            )
        )
    return found


@lru_cache(maxsize=1)
def output_class() -> Any:
    """Output of verl's with a reward for each token, where its own has one for the last.

    Returns:
        A subclass of `AgentLoopOutput` with the field `token_rewards`.

    Raises:
        MissingExtra: verl is not installed.
    """
    loops = optional.load("verl.experimental.agent_loop.agent_loop", extra="verl", purpose=_PURPOSE)
    return type(
        "DenseOutput",
        (loops.AgentLoopOutput,),
        {"__annotations__": {"token_rewards": list[float]}, "as_dict": _as_dict, "__module__": __name__},
    )


def _as_dict(self: Any) -> dict[str, Any]:
    found = super(output_class(), self).as_dict()
    found["rm_scores"] = torch.tensor(found.pop("token_rewards"), dtype=torch.float32)
    return found


def outputs_of(forest: Forest) -> list[Any]:
    """The trajectories of a forest as outputs of a session.

    Args:
        forest: see `lines_of`.

    Returns:
        verl's outputs; their `extra_fields` say which rows of the tree each holds.

    Raises:
        MissingExtra: verl is not installed.
    """
    loops = optional.load("verl.experimental.agent_loop.agent_loop", extra="verl", purpose=_PURPOSE)
    made: list[Any] = []
    for line in lines_of(forest):
        told = {"ok": int(line.total is not None), "total": 0.0 if line.total is None else line.total}
        made.append(
            output_class()(
                prompt_ids=line.prompt_ids,
                response_ids=line.response_ids,
                response_mask=line.response_mask,
                response_logprobs=line.response_logprobs,
                token_rewards=line.token_rewards,
                reward_score=told["total"],
                num_turns=len(line.rows),
                metrics=loops.AgentLoopMetrics(),
                extra_fields={
                    "reward_extra_info": told,  # verl overwrites it by that of the last output
                    TOTAL: math.nan if line.total is None else line.total,
                    "milepost_rows": json.dumps(line.rows),
                },
            )
        )
    return made


@dataclass(frozen=True, kw_only=True)
class Growing:
    """How a session grows its tree."""

    job: Train
    environment: Environment
    tokens: int
    """Of one answer at most."""
    seed: int

    def __post_init__(self) -> None:
        """Refuse what a session, which sees one task, cannot do."""
        job = self.job
        lacking = {
            "its credit rule remembers earlier batches": isinstance(job.credit, StatefulCredit),
            "it learns a reward beside the policy": job.learned is not None,
            "its credit rule reads features of the policy": any(n.startswith("feature.") for n in job.credit.reads),
            "it denoises": job.process is not None,
            "its loss compares steps in pairs": isinstance(job.objective, SiblingPreference),
        }
        found = [why for why, is_so in lacking.items() if is_so]
        if found:
            raise SettingError(f"The recipe cannot run in an agent loop of verl's: {' and '.join(found)}.")

    def __call__(self, task: Task, policy: Served, key: int) -> Forest:
        """Grow, score and credit the tree of a task."""
        draws, job = [Draw(task=task)], self.job
        forest = grow(draws, policy=policy, environment=self.environment, sampler=job.sampler, key=key)
        forest = Scored(rewards=job.rewards, weights=job.weights)(forest, torch.arange(len(forest)))
        forest = job.credit(forest)
        return forest if job.view is None else job.view(forest)


async def session(
    growing: Growing, generate: Any, tokenizer: Any, sampling: Mapping[str, Any], row: Mapping[str, Any]
) -> list[Any]:
    """One session: the tree of a row of the data set.

    Args:
        growing: how.
        generate: of verl's servers.
        tokenizer: of the model.
        sampling: verl's parameters.
        row: of the data set; its `extra_info` holds the task, see `engines.trl.rollouts.rows_for`.

    Returns:
        One output per leaf.

    Raises:
        SettingError: the row is no task of the environment.
    """
    step = int(row.get("global_steps", 0) or 0)
    stop = list(getattr(growing.environment, "stop", ()))
    wanted = {**sampling, **({"stop": stop, "include_stop_str_in_output": True} if stop else {})}
    loop = asyncio.get_running_loop()
    policy = Served(
        generate=generate, loop=loop, tokenizer=tokenizer, sampling=wanted, tokens=growing.tokens, version=step
    )
    task = task_in(row)
    key = keys.fold(keys.root(growing.seed), "verl", step, task.id, int(row.get("session_id", 0) or 0))
    forest = await loop.run_in_executor(None, partial(growing, task, policy, key))
    return outputs_of(forest)


def task_in(row: Mapping[str, Any]) -> Task:
    """The task of a row of verl's data set.

    Args:
        row: with `extra_info`, and in it `milepost_task`, the task as JSON; else a record is made of what is there.

    Returns:
        The task.
    """
    extra = cast("Mapping[str, Any]", row.get("extra_info") or {})
    if TASK in extra:
        return Task(**json.loads(extra[TASK]))
    truth = cast("Mapping[str, Any]", row.get("reward_model") or {}).get("ground_truth")
    record = {**record_of({**extra, "prompt": row.get("raw_prompt", "")}), "answer": truth}
    return Task(id=str(extra.get("index", row.get("uid", record["prompt"]))), record=record)


def tree_loop(
    *given: Any,
    recipe: str,
    environment: str = "search",
    settings: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    tokens: int = 512,
    **named: Any,
) -> Any:
    """Build an agent loop: what `_target_` names in verl's configuration of agent loops.

    Args:
        given: verl's own arguments.
        recipe: its name.
        environment: name of an environment, see `milepost run --help`.
        settings: of the recipe.
        options: of the environment.
        tokens: of one answer at most.
        named: verl's own arguments.

    Returns:
        An object that verl calls as its agent loop.

    Raises:
        SettingError: the recipe cannot run there.
        UnknownName: the recipe, or a setting of it, does not exist.
        MissingExtra: verl is not installed.
    """
    job = recipes.built(recipe, dict(settings or {}))
    if not isinstance(job, Train):
        raise SettingError(f"verl trains, and the recipe {recipe!r} built a {type(job).__name__}.")
    world = by_name.environment((environment,), dict(options or {}), train_size=1, held_out_size=1)
    growing = Growing(job=job, environment=world, tokens=tokens, seed=0)
    loops = optional.load("verl.experimental.agent_loop.agent_loop", extra="verl", purpose=_PURPOSE)

    async def run(self: Any, sampling_params: Mapping[str, Any], **row: Any) -> list[Any]:
        return await session(growing, self.server_manager.generate, self.tokenizer, sampling_params, row)

    return type("TreeLoop", (loops.AgentLoopBase,), {"run": run})(*given, **named)
