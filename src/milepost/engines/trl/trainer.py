"""What milepost adds to TRL's GRPOTrainer: credit in place of its advantages, a task choice as its sampler.

Every method calls TRL's own and edits what it returned; nothing of TRL is copied. What must hold of TRL for that is
written down in tests/engines/trl/test_trainer_seam.py.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from milepost import keys, optional, state
from milepost.credit.tokens import assemble
from milepost.engines import checkpoint
from milepost.engines.beside.learned import Beside
from milepost.engines.trl.choice import ChosenTasks
from milepost.engines.trl.recipes import (
    Parts,
    check_reads,
    check_rows,
    leaf_weights,
    parts_of,
    reward_functions,
    training,
)
from milepost.engines.trl.rewards import RewardFunction, answer_of
from milepost.engines.trl.rollouts import Progress, Rollouts, learner_of, lines_of, milepost, once, with_log_prob
from milepost.engines.trl.samples import Group, Sample, forest_of, pool_of, record_of, scored, text_of
from milepost.errors import MilepostError, ResumeError, SettingError
from milepost.forest import Forest
from milepost.part import Environment, StatefulCredit, Task
from milepost.ragged import Ragged, offsets_of
from milepost.recipe import Train
from milepost.rewards import guard
from milepost.rewards.combine import Scored

T = TypeVar("T")
OnForest = Callable[[Forest], None]


@dataclass(kw_only=True, eq=False)
class Seen:
    """What the last call of TRL's `_calculate_rewards` was given, and what it returned for all processes together."""

    prompts: Sequence[Any]
    completions: Sequence[Any]
    ids: Sequence[Sequence[int]]
    rewards: Tensor


@dataclass(kw_only=True, eq=False)
class Held:
    """What milepost keeps beside a trainer."""

    parts: Parts
    on_forest: OnForest | None
    sampler: ChosenTasks | None = None
    credit_state: Any = None
    seen: Seen | None = None
    rollouts: Rollouts | None = None
    """Who makes the completions, where not TRL."""
    beside: Beside | None = None
    """What learns a reward, from the first generation on."""
    kept: checkpoint.Checkpoint | None = None
    """Checkpoint from which `beside` is restored when it is made."""
    resumed: str | None = None
    """Checkpoint whose random state is put back before the next generation."""
    draws: dict[str, int] = field(default_factory=dict[str, int])


class Credited:
    """TRL's GRPOTrainer with milepost's credit, task choice and rewards of steps. Beside TRL's own arguments it takes

    recipe: what a recipe's `build` returns; without `reward_funcs` its rewards are used, with their weights.
    parts: in place of a recipe, see `recipes.Parts`.
    environment: of milepost's; the recipe's sampler then grows trees in it, in place of TRL's generation, and the
        recipe's rewards score them. The rows of the data set are those of `rollouts.rows_for(environment)`.
    on_forest: told of every generation, scored and credited, in the process that is first.

    The objective stays TRL's: see `recipes.loss_settings`.
    """

    milepost: Held

    def __init__(
        self,
        *given: Any,
        recipe: Train | None = None,
        parts: Parts | None = None,
        environment: Environment | None = None,
        on_forest: OnForest | None = None,
        **named: Any,
    ) -> None:
        if (recipe is None) == (parts is None):
            raise SettingError("milepost's GRPOTrainer takes either recipe=... or parts=..., received both or neither.")
        recipe = None if recipe is None else training(recipe)
        brings_rewards = recipe is not None and len(given) < 2 and named.get("reward_funcs") is None
        rollouts = None
        if environment is not None:
            rollouts = _rollouts(recipe, environment, brings_rewards=brings_rewards)
            named |= {"rollout_func": rollouts, "reward_funcs": milepost}
        elif recipe is not None and brings_rewards:
            named["reward_funcs"] = reward_functions(recipe)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "You are using 'rollout_func'")  # its seam is tested, its version checked
            cast("Any", super()).__init__(*given, **named)
        own = cast("Any", self)
        if recipe is not None and brings_rewards and rollouts is None and own.args.reward_weights is None:
            own.reward_weights = torch.tensor(leaf_weights(recipe), dtype=torch.float32)
        width, inside = own.num_generations, environment is not None
        chosen = parts if recipe is None else parts_of(recipe, width=width, environment=inside)
        self.milepost = Held(parts=cast("Parts", chosen), on_forest=on_forest, rollouts=rollouts)
        check_rows(self.milepost.parts, own.train_dataset)
        if rollouts is None:
            check_reads(self.milepost.parts, own.reward_func_names)
        if isinstance(self.milepost.parts.credit, StatefulCredit):
            self.milepost.credit_state = self.milepost.parts.credit.init()
        if self.milepost.parts.choice is not None:
            own.args.ignore_data_skip = True  # our sampler knows itself where it was

    # ---- tasks ----

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        own, held = cast("Any", self), self.milepost
        if held.parts.choice is None:
            return cast("Any", super())._get_train_sampler(dataset)
        if held.sampler is None:
            held.sampler = ChosenTasks.of(
                held.parts.choice,
                pool_of(own.train_dataset if dataset is None else dataset),
                tasks=own.args.generation_batch_size // own.num_generations,
                width=own.num_generations,
                repeats=own.num_iterations * own.args.steps_per_generation,
                seed=own.args.seed,
            )
        return held.sampler

    # ---- rewards ----

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Tensor:
        found = cast("Any", super())._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        ids = [tuple(int(one) for one in row) for row in completion_ids_list]
        self.milepost.seen = Seen(prompts=prompts, completions=completions, ids=ids, rewards=found)
        return found

    # ---- credit ----

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        own, held = cast("Any", self), self.milepost
        if held.resumed is not None:
            own._load_rng_state(held.resumed)
            held.resumed = None
        if held.rollouts is not None:
            held.rollouts.asked = inputs
        if held.beside is None and held.parts.learned is not None:
            held.beside = _restored(learner_of(held.parts.learned, own), held.kept)
        output = cast("Any", super())._generate_and_score_completions(inputs)
        if own.model.training:
            forest, lines = self._flat(inputs, output) if held.rollouts is None else self._grown()
            forest = self._credited(forest)
            if held.sampler is not None:
                held.sampler.learn(forest)
            self._write(output, forest, lines)
            if held.on_forest is not None and own.accelerator.is_main_process:
                held.on_forest(forest)
        return output

    def _flat(self, inputs: Sequence[Mapping[str, Any]], output: Mapping[str, Any]) -> tuple[Forest, Ragged]:
        """The scored forest of TRL's own completions, and the rows of each."""
        own, held = cast("Any", self), self.milepost
        groups = self._grouped(self._gathered(self._local(inputs, output)))
        columns = cast("Seen", held.seen).rewards.double().T.tolist()
        values = {
            name: [None if value != value else value for value in column]
            for name, column in zip(own.reward_func_names, columns, strict=True)
        }
        bare = forest_of(groups, version=own.state.global_step)
        forest = scored(bare, groups, values, own.reward_weights.double().tolist())
        for reward in held.parts.step_rewards:
            forest = guard.score(reward, forest)
        return forest, below_roots(forest)

    def _grown(self) -> tuple[Forest, Ragged]:
        """The scored trees of all processes, and the rows of each completion."""
        held = self.milepost
        forest = Forest.concatenate(self._gathered([cast("Forest", cast("Rollouts", held.rollouts).grown)]))
        if held.sampler is not None:
            held.sampler.answered()
        return forest, lines_of(forest, cast("Any", self).num_generations)

    def _gathered(self, found: list[T]) -> list[T]:
        """What all processes found: a group may lie on two of them."""
        gather = optional.load("accelerate.utils", extra="trl", purpose="milepost in TRL").gather_object
        return gather(found)

    def _local(self, inputs: Sequence[Mapping[str, Any]], output: Mapping[str, Any]) -> list[Sample]:
        own, seen = cast("Any", self), cast("Seen", self.milepost.seen)
        mask = output.get("tool_mask")
        log_probs = output.get("sampling_per_token_logps", output.get("old_per_token_logps"))
        whole = {*own.eos_token_ids, own._tokenizer.pad_token_id}
        functions = [one for one in own.reward_funcs if isinstance(one, RewardFunction)]
        found: list[Sample] = []
        for place, ids in enumerate(seen.ids):
            train = (True,) * len(ids) if mask is None else tuple(mask[place, : len(ids)].bool().tolist())
            lengths = turns(train)
            one_text = (answer_of(seen.completions[place]),)
            told = {function.reward.name: function.reasons[place] for function in functions}
            log_prob = None if log_probs is None else tuple(log_probs[place, : len(ids)].float().tolist())
            found.append(
                Sample(
                    prompt=text_of(seen.prompts[place]),
                    texts=one_text if len(lengths) == 1 else self._texts(ids, train, lengths),
                    record=record_of(inputs[place]),
                    prompt_ids=tuple(output["prompt_ids"][place][output["prompt_mask"][place].bool()].tolist()),
                    ids=tuple(ids),
                    train=train,
                    log_prob=log_prob,
                    lengths=lengths,
                    truncated=ids[-1] not in whole,
                    reasons={name: reason for name, reason in told.items() if reason is not None},
                )
            )
        return found

    def _texts(self, ids: Sequence[int], train: Sequence[bool], lengths: Sequence[int]) -> tuple[str, ...]:
        starts = itertools.accumulate(lengths, initial=0)
        said = [
            [one for one, mine in zip(ids[at : at + n], train[at : at + n], strict=True) if mine]
            for at, n in zip(starts, lengths, strict=False)
        ]
        return tuple(cast("Any", self)._tokenizer.batch_decode(said, skip_special_tokens=True))

    def _grouped(self, samples: Sequence[Sample]) -> list[Group]:
        """TRL's groups lie one after the other and are of one size; each must be about one prompt."""
        width, held = cast("Any", self).num_generations, self.milepost
        cut = [samples[at : at + width] for at in range(0, len(samples), width)]
        if any(one.prompt_ids != group[0].prompt_ids for group in cut for one in group):
            raise MilepostError(
                f"TRL's batch does not hold {width} completions of each prompt one after the other. This milepost "
                "knows TRL 1.16; see docs/how-to/trl.md."
            )
        if held.sampler is not None:
            named = held.sampler.answered()
        else:
            tasks = [Task(id=str(g[0].record.get("id", g[0].prompt)), record=g[0].record) for g in cut]
            named = [(task, held.draws.get(task.id, 0)) for task in tasks]
            held.draws.update({task.id: before + 1 for task, before in named})
        return [Group(task=t.id, draw=n, samples=group) for (t, n), group in zip(named, cut, strict=True)]

    def _credited(self, forest: Forest) -> Forest:
        own, held = cast("Any", self), self.milepost
        if held.beside is not None:
            key = keys.fold(keys.root(own.args.seed), "trl", "learned", own.state.global_step)
            with torch.enable_grad():
                forest = held.beside(with_log_prob(forest, own), key).forest
        credit = held.parts.credit
        if isinstance(credit, StatefulCredit):
            forest, held.credit_state = credit.apply(forest, held.credit_state)
            return forest
        return credit(forest)

    def _write(self, output: dict[str, Any], forest: Forest, lines: Ragged) -> None:
        """Put credit in place of the advantages, and take completions without credit out of the loss."""
        own = cast("Any", self)
        mask = output["completion_mask"]
        rows, width = mask.shape
        batch = assemble(forest, lines)
        own_token = once(batch.source)
        local = slice(own.accelerator.process_index * rows, (own.accelerator.process_index + 1) * rows)
        credit = torch.zeros(rows, width, dtype=torch.float32)
        train = torch.zeros(rows, width, dtype=torch.bool)
        size = min(width, batch.id.shape[1])
        credit[:, :size] = (batch.advantage * own_token)[local, :size].float()
        train[:, :size] = (batch.train & own_token)[local, :size]
        output["advantages"] = credit.to(mask.device)
        before = mask if "tool_mask" not in output else mask * output["tool_mask"]
        after = before * train.to(mask.device)
        if own.accelerator.gather((before != after).any()).any():
            output["tool_mask"] = train.to(mask.device, mask.dtype)
            output["num_items_in_batch"] = own.accelerator.gather(after.sum()).sum()

    # ---- checkpoints ----

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        cast("Any", super())._save_checkpoint(model, trial)
        own, held = cast("Any", self), self.milepost
        if not own.args.should_save:
            return
        folder = Path(own._get_output_dir(trial=trial)) / f"checkpoint-{own.state.global_step}"
        credit = state.dump(held.credit_state)
        tensors = {f"credit/{name}": value for name, value in credit.tensors.items()}
        record: dict[str, Any] = {"credit": credit.record, "draws": held.draws}
        if held.rollouts is not None:
            record |= {"rollouts": asdict(held.rollouts.progress)}
        if held.beside is not None:
            tensors |= {f"learned/{name}": value.detach() for name, value in held.beside.tensors().items()}
            record |= {"learned_version": held.beside.updater.policy.version}
        if held.sampler is not None:
            chosen = state.dump(held.sampler.state)
            tensors |= {f"choice/{name}": value for name, value in chosen.tensors.items()}
            record |= {"choice": chosen.record, "waiting": held.sampler.waiting, "drawn": held.sampler.drawn}
        checkpoint.write(folder, checkpoint.Checkpoint(tensors=tensors, record=record))

    def _load_optimizer_and_scheduler(self, checkpoint_folder: str | None) -> None:
        cast("Any", super())._load_optimizer_and_scheduler(checkpoint_folder)
        if checkpoint_folder is None:
            return
        held, found = self.milepost, checkpoint.read(Path(checkpoint_folder))
        held.credit_state = _loaded(held.credit_state, found, "credit")
        held.draws, held.kept = dict(found.record["draws"]), found
        if held.rollouts is not None:
            held.rollouts.progress = Progress(**found.record["rollouts"])
        if (held.sampler is not None) != ("choice" in found.record):
            raise ResumeError(
                f"{checkpoint_folder} was written with another choice of tasks: build the trainer as it was."
            )
        if held.sampler is not None:
            held.resumed = checkpoint_folder
            held.sampler.state = _loaded(held.sampler.state, found, "choice")
            held.sampler.waiting = [list(one) for one in found.record["waiting"]]
            held.sampler.again = len(held.sampler.waiting)
            held.sampler.drawn = dict(found.record["drawn"])


def _rollouts(recipe: Train | None, environment: Environment, *, brings_rewards: bool) -> Rollouts:
    if recipe is None or not brings_rewards:
        raise SettingError(
            "environment=... goes with recipe=... and without reward_funcs: the recipe's sampler grows the trees, and "
            "its rewards score them."
        )
    scorer = Scored(rewards=recipe.rewards, weights=recipe.weights)
    return Rollouts(sampler=recipe.sampler, environment=environment, scorer=scorer)


def _restored(beside: Beside, found: checkpoint.Checkpoint | None) -> Beside:
    if found is not None and "learned_version" in found.record:
        tensors = {n.removeprefix("learned/"): t for n, t in found.tensors.items() if n.startswith("learned/")}
        beside.restore(tensors, int(found.record["learned_version"]))
    return beside


def _loaded(pattern: Any, found: checkpoint.Checkpoint, part: str) -> Any:
    tensors = {n.removeprefix(f"{part}/"): t for n, t in found.tensors.items() if n.startswith(f"{part}/")}
    return state.load(type(pattern), state.Dumped(tensors, found.record[part]))


def turns(train: Sequence[bool]) -> tuple[int, ...]:
    """Tokens of each step of a completion: what the policy wrote, and what it was answered.

    Args:
        train: whether the policy chose each token.

    Returns:
        Lengths that add up; a new step begins where the policy speaks after an answer.
    """
    starts = [at for at in range(1, len(train)) if train[at] and not train[at - 1]]
    if starts and not any(train[: starts[0]]):
        starts = starts[1:]  # what stands before the policy's first word belongs to its first step
    bounds = [0, *starts, len(train)]
    return tuple(later - sooner for sooner, later in itertools.pairwise(bounds))


def below_roots(forest: Forest) -> Ragged:
    """Rows of each trajectory without its root: what TRL calls a completion.

    Args:
        forest: every leaf lies below a root.

    Returns:
        One line per leaf, in order.
    """
    paths = forest.paths()
    kept = forest.parent[paths.values] >= 0
    return Ragged(paths.values[kept], offsets_of(paths.lengths - 1))
