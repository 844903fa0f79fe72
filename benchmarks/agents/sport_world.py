"""SPORT in text adventures with a linear policy: steps judged, whole trajectories compared, and refreshing the sampler.

    python -m benchmarks.agents.sport_world [--seeds 5] [--games 48] [--accuracy 0.8]

The policy is a softmax over the commands that the game lists and some that it listed before (which are not possible any
more: the analogue of code that fails), linear in features of command and objective. It begins as a behaviour clone of a
weak expert. With as many environment steps each: whole trajectories compared by their outcome (DPO), and siblings
compared by a judge of their progress that is right with a chance (SPORT), once sampled from the clone and learned, and
in four rounds that sample from what was learned so far. Success and the share of impossible commands are measured on
held-out games. Prints Markdown for docs/evidence.md.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from milepost import keys as streams
from milepost.columns import End
from milepost.credit.tree.preferred import Preferred
from milepost.environments.textworld import NOT_POSSIBLE, TextWorld
from milepost.evaluation.intervals import paired_bootstrap
from milepost.forest import Forest
from milepost.objectives.pairs import outcome_pairs, preference_loss
from milepost.objectives.siblings import SiblingPreference
from milepost.part import Observation, Proposals, Task
from milepost.sampling.branching.siblings import Siblings
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent

WIDTH, STALE, BETA = 4, 2, 0.1
"""Siblings; commands of the past that are offered; DPO's beta."""
CLONING, RATE, UPDATES = 0.1, 0.03, 40
"""Adam's rate while cloning and after it; updates of each."""
VERBS = ("go", "take", "drop", "open", "close", "put", "insert", "eat", "unlock", "lock", "cook")
WORD = re.compile(r"[a-z]+")
SMALL = {"the", "a", "an", "of", "to", "in", "on", "into", "with", "from", "and", "is", "it"}


@lru_cache(maxsize=100_000)
def features(objective: str, listed: tuple[str, ...], done: tuple[str, ...], command: str) -> tuple[float, ...]:
    """A command beside the objective: share of its words there, and where; its verb; whether it was done, is listed."""
    words = WORD.findall(objective.lower())
    own = [one for one in WORD.findall(command)[1:] if one not in SMALL]
    places = [words.index(one) / len(words) for one in own if one in words]
    share = len(places) / max(len(own), 1)
    verb = command.split()[0]
    far = abs(sum(places) / len(places) - min(len(done) / 3, 1.0)) if places else 1.0
    known = [float(verb == one) for one in VERBS]
    return (
        share,
        far,
        share * (1 - far),
        float(verb in words),
        float(command in done),
        float(command in listed),
        *known,
        *(one * share for one in known),
    )


@dataclass(kw_only=True, eq=False)
class Linear:
    """A softmax over commands, linear in their features. A row's log-probability is one number."""

    weight: Tensor
    version: int = 0

    def encode(self, observations: Sequence[Observation], *, start: bool) -> dict[str, Any]:  # noqa: ARG002
        """Nothing: what was said is read from the rows."""
        return {}

    def offered(self, forest: Forest, row: int, texts: dict[str, list[str | None]]) -> tuple[list[str], Tensor]:
        """Commands below a row, and their features."""
        root, *steps = forest.path(row).tolist()
        objective, first = json.loads(texts["record"][root] or "{}")["prompt"].split("\n", 1)
        shown = [first, *(texts["result"][step] or "" for step in steps)]
        lists = [one.rpartition("You can: ")[2].rstrip(".").split(", ") for one in shown]
        listed = lists[-1]
        past = [one for older in reversed(lists[:-1]) for one in older if one not in listed]
        commands = [*listed, *list(dict.fromkeys(past))[:STALE]]
        done = tuple((texts["text"][step] or "")[5:-6] for step in steps)
        rows = [features(objective, tuple(listed), done, one) for one in commands]
        return commands, torch.tensor(rows, dtype=torch.float64)

    @torch.no_grad()
    def propose(self, forest: Forest, rows: Tensor, keys: Tensor) -> Proposals:
        """Draw one command per row."""
        texts, drawn = _texts(forest), streams.uniform(keys.tolist(), 1)
        said, log_prob = [], []
        for row, (uniform,) in zip(rows.tolist(), drawn, strict=True):
            commands, found = self.offered(forest, row, texts)
            chance = (found @ self.weight).log_softmax(0)
            place = min(int((chance.exp().cumsum(0) <= uniform).sum()), len(commands) - 1)
            said.append(f"<act>{commands[place]}</act>")
            log_prob.append(float(chance[place]))
        ends = [int(End.OPEN)] * len(said)
        return Proposals(parent=rows, columns={"text": said, "log_prob": log_prob, "end": ends})

    def log_prob(self, forest: Forest, rows: Tensor) -> Tensor:
        """Log-probability of the command of each row; 0 for roots."""
        return self.of(Choices.read(self, forest, rows))

    def of(self, choices: Choices) -> Tensor:
        """The same of choices that were read before."""
        scores = (choices.known @ self.weight).masked_fill(~choices.there, -torch.inf)
        return scores.log_softmax(1).gather(1, choices.taken[:, None])[:, 0].where(choices.made, 0.0)


@dataclass(kw_only=True)
class Choices:
    """What could be chosen, row by row, padded: features, which places are commands, which was taken, by whom."""

    known: Tensor
    there: Tensor
    taken: Tensor
    made: Tensor
    """False for roots, which nobody chose."""

    @staticmethod
    def of(found: Sequence[tuple[Tensor, int] | None]) -> Choices:
        """Pad."""
        most = max(len(one[0]) for one in found if one is not None)
        known = torch.zeros(len(found), most, 6 + 2 * len(VERBS), dtype=torch.float64)
        there = torch.zeros(len(found), most, dtype=torch.bool)
        there[:, 0] = True
        for row, one in enumerate(found):
            if one is not None:
                known[row, : len(one[0])], there[row, : len(one[0])] = one[0], True
        taken = torch.tensor([0 if one is None else one[1] for one in found])
        return Choices(known=known, there=there, taken=taken, made=torch.tensor([one is not None for one in found]))

    @staticmethod
    def read(policy: Linear, forest: Forest, rows: Tensor) -> Choices:
        """The choices of rows of a forest."""
        texts, found = _texts(forest), list[tuple[Tensor, int] | None]()
        for row in rows.tolist():
            above = int(forest.parent[row])
            if above < 0:
                found.append(None)
                continue
            commands, known = policy.offered(forest, above, texts)
            found.append((known, commands.index((texts["text"][row] or "")[5:-6])))
        return Choices.of(found)


def _texts(forest: Forest) -> dict[str, list[str | None]]:
    return {
        name: forest.text(name) if name in forest else [None] * len(forest) for name in ("record", "text", "result")
    }


def judge(accuracy: float) -> Any:
    """Prefers the sibling with the most progress, what is impossible last, in a share of the cases; else any."""

    def score(forest: Forest, rows: Tensor) -> Forest:
        progress = torch.where(forest.valid("extra.progress"), forest["extra.progress"], -9.0)
        failed = [(one or "").startswith(NOT_POSSIBLE) for one in forest.text("result")]
        progress = progress.masked_fill(torch.tensor(failed), -10.0)
        known = forest["reward.total"].tolist() if "reward.total" in forest else [0.0] * len(forest)
        ok = forest["ok.total"].tolist() if "ok.total" in forest else [False] * len(forest)
        value: list[float | None] = [one if fine else None for one, fine in zip(known, ok, strict=True)]
        for above in forest.parent[rows].unique().tolist():
            members = rows[forest.parent[rows] == above].tolist()
            drawn = streams.uniform([streams.fold(int(forest["key"][above]), "judge")], 2)[0]
            best = max(float(progress[row]) for row in members)
            if drawn[0] < (1 - accuracy) / (1 - 1 / len(members)):
                chosen = members[int(drawn[1] * len(members))]
                scores = {row: float(row == chosen) for row in members}
            else:
                scores = {row: float(float(progress[row]) == best) for row in members}
            for row, one in scores.items():
                value[row] = one
        return forest.with_columns({"reward.total": value, "ok.total": [one is not None for one in value]})

    return score


def cloned(world: TextWorld, games: Sequence[Task], key: int) -> Linear:
    """A clone of an expert that is right in half of its steps."""
    policy = Linear(weight=torch.zeros(6 + 2 * len(VERBS), dtype=torch.float64, requires_grad=True))
    examples: list[tuple[Tensor, int] | None] = []
    for game in games:
        forest = grow([Draw(task=game)], policy=policy, environment=world, sampler=Independent(width=1), key=key)
        for row in range(1, len(forest)):
            texts = _texts(forest)
            commands, known = policy.offered(forest, int(forest.parent[row]), texts)
            done = {(texts["text"][step] or "")[5:-6] for step in forest.path(row).tolist()[1:-1]}
            plan = [one for one in game.record["plan"] if one not in done and one in commands]
            drawn = streams.uniform([streams.fold(key, game.id, row)], 2)[0]
            right = plan and drawn[0] < 0.5
            examples.append((known, commands.index(plan[0]) if right else int(drawn[1] * len(commands))))
    optimiser, read = torch.optim.Adam([policy.weight], lr=CLONING), Choices.of(examples)
    for _ in range(UPDATES):
        optimiser.zero_grad()
        (-policy.of(read).mean()).backward()
        optimiser.step()
    return policy


def taught(first: Linear, world: TextWorld, games: Sequence[Task], how: str, accuracy: float, key: int) -> Linear:
    """The clone, taught further: "trajectories", or "steps" of siblings; "4 x steps" samples anew in four rounds."""
    rounds, siblings = 4 if how.startswith("4") else 1, how.endswith("steps")
    policy = Linear(weight=first.weight.detach().clone().requires_grad_())
    optimiser = torch.optim.Adam([policy.weight], lr=RATE)
    sampler: Any = Siblings(width=WIDTH, scorer=judge(accuracy)) if siblings else Independent(width=WIDTH)
    for number in range(rounds):
        own = games[number * len(games) // rounds : (number + 1) * len(games) // rounds]
        draws = [Draw(task=task) for task in own]
        forest = grow(draws, policy=policy, environment=world, sampler=sampler, key=streams.fold(key, how, number))
        read = Choices.read(policy, forest, torch.arange(len(forest)))
        loss = _steps(forest) if siblings else _trajectories(forest)
        before = first.of(read).detach()
        for _ in range(UPDATES // rounds):
            optimiser.zero_grad()
            loss(policy.of(read), before).backward()
            optimiser.step()
    print(json.dumps({"side": how, "environment steps": len(forest) * rounds}))
    return policy


def _steps(forest: Forest) -> Callable[[Tensor, Tensor], Tensor]:
    """SPORT's loss."""
    forest, rule = Preferred()(forest), SiblingPreference(beta=BETA)
    return lambda now, before: rule(forest, now, before).loss


def _trajectories(forest: Forest) -> Callable[[Tensor, Tensor], Tensor]:
    """DPO between whole trajectories of a game, of which one was won."""
    leaf = forest.leaves()
    ok = torch.zeros(len(forest), dtype=torch.bool).index_fill(0, leaf, True)
    found = outcome_pairs(forest.with_columns({"reward.total": _won(forest) * ok, "ok.total": ok}), margin=0.5)
    paths = [(one, step) for one in leaf.tolist() for step in forest.path(one).tolist()]
    ends, steps = torch.tensor(paths).T

    def loss(now: Tensor, before: Tensor) -> Tensor:
        gain = BETA * (now - before)
        sums = gain.new_zeros(len(gain)).index_add(0, ends, gain[steps])
        return preference_loss(sums[found.better], sums[found.worse]).mean()

    return loss


def _won(forest: Forest) -> Tensor:
    calls = [json.loads(one) if one else {} for one in forest.text("call")]
    return torch.tensor([float(one.get("answer") == "won") for one in calls])


def measured(policy: Linear, world: TextWorld, asked: Sequence[Task], key: int) -> tuple[Tensor, float]:
    """Success by game, and the share of commands that were not possible."""
    forest = grow(
        [Draw(task=task) for task in asked],
        policy=policy,
        environment=world,
        sampler=Independent(width=WIDTH),
        key=key,
    )
    leaf = forest.leaves()
    root = forest.root_of()[leaf]
    won = torch.zeros(len(forest)).index_add(0, root, _won(forest)[leaf])[forest.roots()] / WIDTH
    results = [one for one in forest.text("result") if one]
    return won, sum(one.startswith(NOT_POSSIBLE) for one in results) / len(results)


def main() -> None:
    """Teach and compare, seed by seed."""
    parser = argparse.ArgumentParser(description="SPORT in text adventures with a linear policy.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--games", type=int, default=48)
    parser.add_argument("--held-out", type=int, default=48)
    parser.add_argument("--accuracy", type=float, default=0.8)
    parser.add_argument("--dev", action="store_true", help="measure on games of the demonstration pool")
    options = parser.parse_args()
    began = time.perf_counter()
    world = TextWorld(train_size=16 + options.games * options.seeds, held_out_size=options.held_out, turns=8)
    games = world.train()
    asked = world.pool("demonstration", options.held_out) if options.dev else world.held_out()
    sides = ("clone", "trajectories", "steps", "4 x steps")
    won: dict[str, list[Tensor]] = {side: [] for side in sides}
    wrong: dict[str, list[float]] = {side: [] for side in sides}
    for seed in range(options.seeds):
        key = streams.root(seed)
        clone = cloned(world, games[:16], key)
        own = games[16 + seed * options.games :][: options.games]
        for side in sides:
            policy = clone if side == "clone" else taught(clone, world, own, side, options.accuracy, key)
            success, impossible = measured(policy, world, asked, streams.fold(key, "measured"))
            won[side].append(success)
            wrong[side].append(impossible)
            print(
                json.dumps({"seed": seed, "side": side, "success": float(success.mean()), "impossible": impossible}),
                flush=True,
            )
    by_game = {side: torch.stack(one).mean(0) for side, one in won.items()}
    for side in sides:
        print(f"| {side} | {by_game[side].mean():.1%} | {sum(wrong[side]) / len(wrong[side]):.1%} |")
    for side, other in (
        ("steps", "clone"),
        ("steps", "trajectories"),
        ("trajectories", "clone"),
        ("4 x steps", "steps"),
    ):
        gap = paired_bootstrap(by_game[side], by_game[other], key=0)
        print(f"{side} over {other}: {gap.estimate * 100:+.1f} points [{gap.low * 100:+.1f}, {gap.high * 100:+.1f}]")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
