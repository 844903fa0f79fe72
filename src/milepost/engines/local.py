"""The local engine: one process that grows, scores, credits and updates, and can be killed at any moment."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from milepost import keys, state, storage
from milepost.credit.audit import audit
from milepost.credit.compare import Measured as ReportsCredit
from milepost.engines import build, checkpoint, evaluate, folder, measure, plan, toml_file
from milepost.engines.beside.bonus import Memorised
from milepost.engines.beside.choice import beside_of
from milepost.engines.beside.learned import Beside
from milepost.engines.events import Evaluation, Event, OnEvent, Outcome
from milepost.engines.journal import TIMES, Journal, mirrors
from milepost.engines.settings import RunSettings
from milepost.engines.update import Updater, optimiser_for, optimiser_state, restore_optimiser, ways
from milepost.errors import MilepostError, ResumeError
from milepost.forest import Forest
from milepost.part import Policy, Sampler, State, StatefulCredit
from milepost.policies.features import described
from milepost.rewards import combine
from milepost.sampling import dynamic
from milepost.sampling.choice import Measured, ScoresPool
from milepost.sampling.frontier import grow, numbered
from milepost.sampling.independent import Independent

if TYPE_CHECKING:
    from collections.abc import Generator

TOO_MANY_FAILURES_IN_A_ROW = 5


def run(settings: RunSettings, out: Path, *, on_event: OnEvent, track: Sequence[str] = ()) -> Outcome:
    """Start a run and see it through.

    Args:
        settings: what to do.
        out: a folder that does not exist yet, or is empty.
        on_event: told of everything that happens.
        track: trackers that mirror the metrics, see `journal.mirrors`.

    Returns:
        Success before and after on held-out tasks, and what it cost.

    Raises:
        ResumeError: `out` holds a run already.
        MilepostError: too many rewards failed, five steps in a row or in every step.
    """
    folder.check_free(out)
    world = build.world(settings)
    out.mkdir(parents=True, exist_ok=True)
    with folder.exclusive(out):
        toml_file.write(out / "run.toml", settings)
        plan.write(out, plan.manifest(settings, [*world.train, *world.held_out]))
        return _Loop.begin(world, settings, out, on_event, track).finish()


def resume(out: Path, *, on_event: OnEvent, accept_change: bool = False, track: Sequence[str] = ()) -> Outcome:
    """Continue a run that was stopped or killed; the result is the same, to the byte, as if it had not been.

    Args:
        out: the run's folder.
        on_event: told of everything that happens.
        accept_change: continue though settings, data, rewards, code or versions changed; the result may then differ.
        track: trackers that mirror the metrics.

    Returns:
        As `run`.

    Raises:
        ResumeError: not a run, or something changed and `accept_change` is false.
    """
    stored = plan.read(out)
    settings = toml_file.read(out / "run.toml")
    world = build.world(settings)
    changed = plan.differences(stored, plan.manifest(settings, [*world.train, *world.held_out]))
    if changed and not accept_change:
        raise ResumeError(
            f"{out} cannot be continued to the byte: {'; '.join(changed)}. Put it back as it was, or continue all the "
            f"same with `milepost resume {out} --accept-change`."
        )
    with folder.exclusive(out):
        loop = _Loop.begin(world, settings, out, on_event, track)
        if (out / checkpoint.NAME).is_file():
            loop.restore(checkpoint.read(out))
        else:
            loop.journal.cut({}, 0)
        return loop.finish()


@dataclass(kw_only=True)
class _Loop:
    """A run in progress: parts, their states, and how far it is."""

    world: build.World
    settings: RunSettings
    folder: Path
    on_event: OnEvent
    journal: Journal
    updater: Updater
    beside: Beside | Memorised | None
    choice_state: State
    credit_state: State
    key: int
    step: int = 0
    failed_in_a_row: int = 0
    skipped: int = 0
    """Steps without an update."""
    cost: dict[str, float] = field(default_factory=dict[str, float])
    sampled: dict[str, float] = field(default_factory=dict[str, float])
    evaluations: list[Evaluation] = field(default_factory=list[Evaluation])
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @staticmethod
    def begin(world: build.World, settings: RunSettings, out: Path, on_event: OnEvent, track: Sequence[str]) -> _Loop:
        key = keys.root(settings.seed)
        job, policy = world.job, world.policy
        credit = job.credit
        return _Loop(
            world=world,
            settings=settings,
            folder=out,
            on_event=on_event,
            journal=Journal(folder=out, mirrors=mirrors(track, out)),
            updater=Updater(
                policy=policy,
                objective=job.objective,
                optimiser=optimiser_for(policy, settings.update),
                settings=settings.update,
                reference=world.reference,
            ),
            beside=beside_of(world, settings.update),
            choice_state=job.choice.init(world.train, keys.fold(key, "choice")),
            credit_state=credit.init() if isinstance(credit, StatefulCredit) else None,
            key=key,
        )

    def finish(self) -> Outcome:
        """Do the steps that are left."""
        steps = self.settings.update.steps
        self._tell("start", {"cost/" + unit: value for unit, value in self.cost.items()})
        if not self.evaluations:
            self._evaluate()
            self._checkpoint()
        stopped = "finished"
        while self.step < steps:
            if self._room() == 0:
                stopped = "budget"
                break
            self._one()
            every = self.settings.keep.evaluate_every
            last = self.step == steps or self._room() == 0
            if last or (every and self.step % every == 0):
                self._evaluate()
            if last or self.step % self.settings.keep.checkpoint_every == 0:
                self._checkpoint()
        return self._outcome(stopped)

    def _one(self) -> None:
        self.seconds = {}
        share = self._room()
        self._refresh()
        batch_key = keys.fold(self.key, "rollout", self.step)
        with self._timed("grow"):
            forest, alive = self._batch(batch_key, max(1, round(share * self.settings.update.tasks_per_step)))
        learned: Mapping[str, float] = {}
        if self.beside is not None:
            with self._timed("learn"):
                taught = self.beside(forest, batch_key)
            forest, learned = taught.forest, taught.numbers
        with self._timed("credit"):
            forest = self._credit(forest)
        numbers = {**learned, **measure.answers(forest), **measure.groups(forest)}
        numbers |= measure.rewards(forest, self._reward_names()) | self._audited(forest)
        numbers["choice/kept_groups"] = float(len(alive))
        if isinstance(self.world.job.choice, Measured):
            numbers |= self.world.job.choice.metrics(self.choice_state)
        with self._timed("update"):
            numbers |= self._update(forest, alive, numbers)
        storage.write(forest, folder.forest(self.folder, self.step + 1))
        self.step += 1
        self.skipped += int(numbers["update/skipped"])
        numbers |= {f"cost/{unit}": value for unit, value in self.cost.items()}
        self.journal.write("metrics.jsonl", {"step": self.step, **numbers})
        self.journal.write(TIMES, {"step": self.step, **self.seconds})
        self.journal.mirror(numbers, self.step)
        stages = {f"seconds/{stage}": seconds for stage, seconds in self.seconds.items()}
        self._tell("update", {**numbers, **stages, "seconds": sum(self.seconds.values())}, ways(numbers))

    def _refresh(self) -> None:
        """Rollouts that the choice of tasks asks for; their cost counts."""
        choice = self.world.job.choice
        wanted = choice.refresh(self.choice_state)
        if wanted is None:
            return
        sampler, policy = self.world.job.sampler, self.world.policy
        if isinstance(choice, ScoresPool):
            sampler = Independent(width=choice.scoring.width)
            policy = build.greedy(policy) if choice.scoring.greedy else policy
        with self._timed("refresh"):
            forest = self._rollout(wanted, keys.fold(self.key, "refresh", self.step), sampler, policy, {})
            self.choice_state = choice.update(self.choice_state, forest, scoring=True)
        self._tell("refresh", measure.rewards(forest, self._reward_names()))

    def _batch(self, key: int, tasks: int) -> tuple[Forest, Tensor]:
        """A scored batch and its roots that train: all, or with dynamic sampling those whose group is alive."""
        rule = dynamic.DynamicSampling(rounds=self.world.job.resample_rounds)
        drawn_before: dict[str, int] = {}
        filled = rule.begin(tasks)
        while (count := rule.ask(filled)) > 0:
            filled = rule.tell(filled, self._drawn(count, key, drawn_before))
        alive = filled.kept.roots()
        return Forest.concatenate([filled.kept, filled.dropped]), alive

    def _drawn(self, count: int, key: int, drawn_before: dict[str, int]) -> Forest:
        choice = self.world.job.choice
        drawn = choice.draw(self.choice_state, count)
        job = self.world.job
        forest = self._rollout(drawn.tasks, key, job.sampler, self.world.policy, drawn_before)
        measure.pay(self.sampled, forest)
        self.choice_state = choice.update(drawn.state, forest, scoring=False)
        return forest

    def _rollout(
        self, tasks: Tensor, key: int, sampler: Sampler, policy: Policy, drawn_before: dict[str, int]
    ) -> Forest:
        forest = grow(
            numbered([self.world.train[position] for position in tasks.tolist()], drawn_before),
            policy=policy,
            environment=self.world.environment,
            sampler=sampler,
            key=key,
            workers=self.settings.keep.workers,
        )
        forest = self._score(forest)
        measure.pay(self.cost, forest)
        return forest

    def _score(self, forest: Forest) -> Forest:
        job = self.world.job
        scored = combine.Scored(rewards=job.rewards, weights=job.weights)
        return scored(forest, torch.arange(len(forest)))

    def _credit(self, forest: Forest) -> Forest:
        credit = self.world.job.credit
        forest = described(forest, self.world.policy, credit)
        if isinstance(credit, StatefulCredit):
            forest, self.credit_state = credit.apply(forest, self.credit_state)
            return forest
        return credit(forest)

    def _audited(self, forest: Forest) -> dict[str, float]:
        """Numbers of the credit rule, and how many of its promises were broken; a broken one is told."""
        credit = self.world.job.credit
        findings = audit(forest, credit)
        for finding in findings.found:
            self._tell("warning", {}, f"credit check: {finding}")
        found = {"credit/findings": float(len(findings.found))}
        return found | dict(credit.metrics(forest, self.credit_state)) if isinstance(credit, ReportsCredit) else found

    def _update(self, forest: Forest, alive: Tensor, numbers: dict[str, float]) -> dict[str, float]:
        leaves = measure.finished(forest)
        failed = 1 - float(forest["ok.total"][leaves].double().mean())
        limit = self.settings.keep.max_invalid
        if failed > limit:
            self.failed_in_a_row += 1
            self._tell(
                "warning",
                numbers,
                f"{failed:.0%} of the rewards failed, more than max_invalid={limit:.0%}: step skipped",
            )
            if self.failed_in_a_row >= TOO_MANY_FAILURES_IN_A_ROW:
                raise MilepostError(
                    f"{measure.failures(forest, TOO_MANY_FAILURES_IN_A_ROW)}. Mend the reward, then "
                    f"`milepost resume {self.folder}` (with --accept-change if its file changed)."
                )
            return {"update/skipped": 1.0}
        self.failed_in_a_row = 0
        if len(alive) == 0:
            return {"update/skipped": 1.0}
        kept = torch.isin(forest.root_of(), alive).nonzero().squeeze(1)
        batch = forest if len(kept) == len(forest) else forest.select(kept)
        batch = batch if self.world.job.view is None else self.world.job.view(batch)
        found = self.updater(batch, keys.fold(self.key, "update", self.step))
        return {**found, "update/skipped": 0.0}

    def _evaluate(self) -> None:
        evaluator = evaluate.Evaluator(
            policy=self.world.evaluated(),
            environment=self.world.environment,
            tasks=self.world.held_out,
            rewards=self.world.job.rewards,
            key=self.key,
            workers=self.settings.keep.workers,
            verdict=self.world.verdict,
        )
        forest = evaluator.grow()
        storage.write(forest, evaluate.stored(self.folder, self.step))
        found = evaluate.summarise(forest, self.step, self._reward_names(total=False), self.world.job.measures)
        self.evaluations.append(found)
        self.journal.write("evaluation.jsonl", asdict(found))
        self._tell(
            "evaluate", {"evaluate/success": found.success, "evaluate/low": found.low, "evaluate/high": found.high}
        )

    def _checkpoint(self) -> None:
        weights = self.world.policy.trainable()
        choice, credit = state.dump(self.choice_state), state.dump(self.credit_state)
        moments = optimiser_state(self.updater.optimiser, list(weights))
        parts = {"weights": weights, "optimiser": moments, "choice": choice.tensors, "credit": credit.tensors}
        parts |= {} if self.beside is None else {"learned": self.beside.tensors()}
        tensors = {f"{part}/{name}": value.detach() for part, held in parts.items() for name, value in held.items()}
        record: dict[str, Any] = {
            "step": self.step,
            "version": self.world.policy.version,
            "learned_version": 0 if self.beside is None else self.beside.version,
            "failed_in_a_row": self.failed_in_a_row,
            "skipped": self.skipped,
            "cost": self.cost,
            "sampled": self.sampled,
            "choice": choice.record,
            "credit": credit.record,
            "evaluations": [asdict(found) for found in self.evaluations],
            "lengths": self.journal.lengths(),
        }
        checkpoint.write(self.folder, checkpoint.Checkpoint(tensors=tensors, record=record))
        folder.keep_forests(self.folder, latest=self.settings.keep.forests, step=self.step)
        self._tell("checkpoint", {})

    def restore(self, found: checkpoint.Checkpoint) -> None:
        """Put back what `_checkpoint` kept."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {n.removeprefix(prefix): t for n, t in found.tensors.items() if n.startswith(prefix)}

        record = found.record
        self.world.policy.restore(part("weights/"), int(record["version"]))
        restore_optimiser(self.updater.optimiser, list(self.world.policy.trainable()), part("optimiser/"))
        self.choice_state = state.load(type(self.choice_state), state.Dumped(part("choice/"), record["choice"]))
        self.credit_state = state.load(type(self.credit_state), state.Dumped(part("credit/"), record["credit"]))
        if self.beside is not None:
            self.beside.restore(part("learned/"), int(record["learned_version"]))
        self.step = int(record["step"])
        self.failed_in_a_row = int(record["failed_in_a_row"])
        self.skipped = int(record["skipped"])
        self.cost, self.sampled = dict(record["cost"]), dict(record["sampled"])
        self.evaluations = [Evaluation(**one) for one in record["evaluations"]]
        self.journal.cut(record["lengths"], self.step)
        folder.keep_forests(self.folder, latest=self.settings.keep.forests, step=self.step)

    def _outcome(self, stopped: str) -> Outcome:
        first, last = self.evaluations[0], self.evaluations[-1]
        change = evaluate.gain(self.folder, first.step, last.step)
        if self.skipped:
            self._tell("warning", {}, f"{self.skipped} of {self.step} steps made no update")
            if self.skipped == self.step:
                last = storage.read(folder.forest(self.folder, self.step))
                raise MilepostError(measure.unchanged(last, self.folder, self.step))
        for message in self.journal.broken:
            self._tell("warning", {}, f"a tracker stopped: {message}")
        outcome = Outcome(
            folder=self.folder,
            steps_done=self.step,
            first=first,
            last=last,
            gain=change.estimate,
            gain_low=change.low,
            gain_high=change.high,
            cost=dict(self.cost),
            stopped=stopped,
        )
        self._tell("done", {"evaluate/gain": change.estimate})
        return outcome

    def _room(self) -> float:
        return self.settings.room(self.cost, self.sampled, self.step)

    def _reward_names(self, *, total: bool = True) -> tuple[str, ...]:
        names = tuple(reward.name for reward in self.world.job.rewards)
        return (*names, "total") if total else names

    def _tell(self, stage: str, numbers: dict[str, float], message: str = "") -> None:
        steps = self.settings.update.steps
        self.on_event(Event(stage=stage, step=self.step, steps=steps, numbers=numbers, message=message))

    @contextmanager
    def _timed(self, stage: str) -> Generator[None]:
        started = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started
