"""Diffusion Tree Sampling and Search beside importance resampling, the best of n and a particle filter, call for call.

    python -m benchmarks.search_tree [--only covered] [--seeds 10] [--out search_tree.json] [--figure search_tree.svg]

Three tasks. Words of three letters out of three: the model often draws what is asked for, and the target is known.
Words of fourteen letters, rewarded by 2.5 for each that agrees with a secret word: the target is rare, and the reward
adds up over steps. Digits: a flow that is not told the class, of which the target is a large importance resampling.
The particle filter is given exact values of the words on the way, and of the digits what the model foresees.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from milepost import keys
from milepost.columns import End
from milepost.credit.tree.values import SoftMean
from milepost.environments.denoising import Denoising
from milepost.evaluation.intervals import mean_interval
from milepost.forest import Forest
from milepost.policies.flow.digits import Load
from milepost.policies.flow.noise import FlowNoise, Grid
from milepost.policies.flow.process import Process
from milepost.rewards.combine import Scored
from milepost.rewards.images.reward import ForeseenScore, ImageScore
from milepost.rewards.images.scorers import ClassLogProb
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.sampling.search_tree.drawing import HighestValue, SoftShares
from milepost.sampling.search_tree.particles import Particles, ParticleShares
from milepost.sampling.search_tree.selection import Boltzmann, Budget, UpperBound, Widening
from milepost.sampling.search_tree.tree_search import TreeSearch
from milepost.testing.chains import WORD, Chains, Uniform, WordReward, law

KEY = keys.root(11)
DRAWS = ("DTS, alpha 0.8", "DTS, alpha 0.3", "resampling", "particles")
FINDS = ("DTS*, alpha 0.8", "DTS*, alpha 0.3", "best of n", "particles")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One comparison: how trees grow, how long a trajectory is, and how far a law is from the target."""

    name: str
    measure: str
    steps: int
    forks: tuple[int, ...]
    budgets: tuple[int, ...]
    draws: Sequence[Draw]
    grow: Callable[..., Forest]
    score: Callable[..., Forest]
    guess: Callable[..., Forest]
    distance: Callable[[Forest, torch.Tensor, int], float]
    """Of the leaves of one root under their chances, from the target of the draw of that number."""


def begun(forest: Forest, calls: float) -> Forest:
    """The trees as they were when so many calls had been made for each: finished trajectories only."""
    cost = forest["cost.model_calls"].nan_to_num() * forest.valid("cost.model_calls")
    keep = torch.zeros(len(forest), dtype=torch.bool)
    of = forest.root_of()
    for root in forest.roots().tolist():
        own = (of == root).nonzero().squeeze(1)
        keep[own[cost[own].cumsum(0) <= calls]] = True
    ended = keep & (forest["end"] != int(End.OPEN))
    return forest.select(torch.cat((forest.roots(), forest.with_ancestors(ended.nonzero().squeeze(1)))).unique())


def measured(task: Task, forest: Forest, share: torch.Tensor) -> list[tuple[float, float]]:
    """Distance to the target and mean reward of the draws, for each root."""
    of, leaf = forest.root_of(), forest.leaves()
    found = []
    for number, root in enumerate(forest.roots().tolist()):
        own = leaf[(of[leaf] == root) & (share[leaf] > 0)]
        weight = share[own] / share[own].sum()
        reward = float((weight * forest["reward.total"][own]).sum())
        found.append((task.distance(forest.select(forest.with_ancestors(own)), weight, number), reward))
    return found


def run(task: Task) -> dict[str, dict[int, list[tuple[float, float]]]]:
    """All methods at all budgets."""
    soft, best, found = SoftShares(), HighestValue(), {}
    for alpha in (0.8, 0.3):
        for name, selector, shares in (("DTS", Boltzmann(), soft), ("DTS*", UpperBound(), best)):
            sampler = TreeSearch(
                scorer=task.score, selector=selector, reduction=SoftMean(), widening=Widening(exponent=alpha),
                forks=task.forks, budget=Budget(calls=float(task.budgets[-1]), at_once=8),
            )  # fmt: skip
            whole = task.grow(task.draws, sampler)
            trees = {calls: begun(whole, calls) for calls in task.budgets}
            found[f"{name}, alpha {alpha}"] = {c: measured(task, tree, shares(tree)) for c, tree in trees.items()}
            print(task.name, name, alpha, flush=True)
    for calls in task.budgets:
        width = calls // task.steps
        forest = task.grow(task.draws, Independent(width=width))
        forest = task.score(forest, forest.leaves())
        filtered = Particles(scorer=task.guess, width=width, forks=task.forks)
        ended = task.grow(task.draws, filtered)
        for name, tree, shares in (
            ("resampling", forest, soft),
            ("best of n", forest, best),
            ("particles", ended, ParticleShares(forks=task.forks)),
        ):
            found.setdefault(name, {})[calls] = measured(task, tree, shares(tree))
    return found


def chain(name: str, length: int, seeds: int, of: Callable, **own: object) -> Task:
    """Words of `length` letters; `of` scores words on the way, and whole ones exactly."""
    world, score = Chains(length=length), WordReward(of=of)
    return Task(
        name=name, steps=length, forks=tuple(range(1, length)), score=score, guess=score,
        draws=[Draw(task=world.task(number)) for number in range(seeds)],
        grow=lambda draws, sampler: grow(draws, policy=Uniform(), environment=world, sampler=sampler, key=KEY),
        **own,
    )  # fmt: skip


def covered(seeds: int) -> Task:
    """27 words with rewards in [0, 3]; on the way a word is worth its soft value."""
    reward = 3 * torch.from_numpy(keys.generator(5).random(27)).double()

    def of(word: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        tables = [reward.view(3**k, -1).exp().mean(1).log() for k in range(4)]
        return torch.stack([tables[int(c)][int(w)] for w, c in zip(word, count, strict=True)])

    def distance(forest: Forest, weight: torch.Tensor, number: int) -> float:  # noqa: ARG001 - one target for all
        return float((law(forest[WORD][forest.leaves()], weight, 27) - reward.softmax(0)).abs().sum() / 2)

    return chain(
        "covered: words of 3 letters", 3, seeds, of, budgets=(30, 100, 300, 1000), distance=distance,
        measure="total variation to the target",
    )  # fmt: skip


def rare(seeds: int) -> Task:
    """Fourteen letters, 2.5 for each that agrees: what is earned so far is the value but for a constant of the step.

    What is compared is the law of the number of letters that agree, which is binomial under the target.
    """
    length = 14
    secret = torch.from_numpy(keys.generator(3).integers(3, size=length))

    def of(word: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        found = torch.zeros(len(word))
        for place in range(length):
            power = (count - 1 - place).clamp(min=0)
            found += (count > place) & (torch.div(word, 3**power, rounding_mode="floor") % 3 == secret[place])
        return 2.5 * found

    chance = math.exp(2.5) / (math.exp(2.5) + 2)
    target = torch.tensor([math.comb(14, k) * chance**k * (1 - chance) ** (14 - k) for k in range(15)]).double()

    def distance(forest: Forest, weight: torch.Tensor, number: int) -> float:  # noqa: ARG001 - one target for all
        agree = (forest["reward.total"][forest.leaves()] / 2.5).round().long()
        return float((law(agree, weight, 15) - target).abs().sum() / 2)

    return chain(
        "rare: words of 14 letters", length, seeds, of, budgets=(140, 420, 1400, 2800), distance=distance,
        measure="total variation, letters that agree",
    )  # fmt: skip


def images(seeds: int) -> Task:
    """Digits of a class that only the reward knows."""
    world = Denoising()
    process = Process(grid=Grid(steps=10), noise=FlowNoise(), guidance=0.0, foreseen=True)
    policy = Load(process=process)()
    classes = [2, 5, 8, 9]
    score = Scored(rewards=(ImageScore(),), weights=(1.0,))
    guess = Scored(rewards=(ForeseenScore(),), weights=(1.0,))

    def grown(draws: Sequence[Draw], sampler: object, key: int = KEY) -> Forest:
        return grow(draws, policy=policy, environment=world, sampler=sampler, key=key)

    plain = grown([Draw(task=world.train()[0])], Independent(width=6000), keys.root(99))
    prior = plain["latent"][plain.leaves()].flatten(1)
    among = torch.cdist(prior, prior)
    target = {c: ClassLogProb()(prior.view(-1, 8, 8), torch.full((6000,), c)).double().softmax(0) for c in classes}

    def distance(forest: Forest, weight: torch.Tensor, number: int) -> float:
        own, wanted = forest["latent"][forest.leaves()].flatten(1), target[classes[number % 4]]
        across = float(weight @ torch.cdist(own, prior).double() @ wanted)
        inside = float(weight @ torch.cdist(own, own).double() @ weight)
        return max(2 * across - inside - float(wanted @ among.double() @ wanted), 0.0) ** 0.5

    return Task(
        name="digits of a class", measure="energy distance to the target", steps=10, forks=(3, 5, 7, 9),
        budgets=(160, 320, 640),
        draws=[Draw(task=world.train()[classes[n % 4]], number=n // 4) for n in range(seeds)],
        grow=grown, score=score, guess=guess, distance=distance,
    )  # fmt: skip


TASKS = {"covered": covered, "rare": rare, "images": images}


def told(values: Sequence[float], places: int = 3) -> str:
    """Mean and standard error."""
    tensor = torch.tensor(values, dtype=torch.float64)
    return f"{float(tensor.mean()):.{places}f} ± {float(tensor.std() / len(tensor) ** 0.5):.{places}f}"


def apart(own: dict, first: str, second: str, calls: int, place: int) -> str:
    """Mean of the paired differences, with its 95 % interval."""
    pairs = zip(own[first][str(calls)], own[second][str(calls)], strict=True)
    found = mean_interval([a[place] - b[place] for a, b in pairs])
    return f"{found.estimate:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def table(tasks: Sequence[Task], results: dict) -> str:
    """Distances and rewards at the largest budget."""
    lines = ["| task, calls | " + " | ".join(DRAWS) + " |", "|---|" + "---|" * len(DRAWS)]
    for task in tasks:
        calls, own = task.budgets[-1], results[task.name]
        cells = [told([one[0] for one in own[name][str(calls)]]) for name in DRAWS]
        lines.append(f"| {task.name}, {calls:,}: {task.measure} | " + " | ".join(cells) + " |")
    lines += ["", "| task, calls | " + " | ".join(FINDS[:3]) + " |", "|---|" + "---|" * 3]
    for task in tasks:
        calls, own = task.budgets[-1], results[task.name]
        cells = [told([one[1] for one in own[name][str(calls)]], 4) for name in FINDS[:3]]
        lines.append(f"| {task.name}, {calls:,}: reward of the one that is chosen | " + " | ".join(cells) + " |")
    for task in tasks:
        for first, second, place in (("DTS", "resampling", 0), ("DTS*", "best of n", 1)):
            for alpha in (0.8, 0.3):
                told_apart = apart(results[task.name], f"{first}, alpha {alpha}", second, task.budgets[-1], place)
                lines.append(f"{task.name}: {first}, alpha {alpha}, less {second}: {told_apart}")
    return "\n".join(lines)


def draw(tasks: Sequence[Task], results: dict, path: Path) -> None:
    """Distance over calls above, reward of the chosen one below, one column per task."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "milepost", "svg.fonttype": "none"}
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(2, len(tasks), figsize=(12, 6.5), layout="constrained")
    for column, task in enumerate(tasks):
        for row, (names, place) in enumerate(((DRAWS, 0), (FINDS[:3], 1))):
            panel = panels[row, column]
            for name, style in zip(names, ("C0-", "C0--", "C1-", "C2-"), strict=False):
                values = torch.tensor([[one[place] for one in results[task.name][name][str(c)]] for c in task.budgets])
                error = values.std(1) / values.shape[1] ** 0.5
                panel.errorbar(task.budgets, values.mean(1), error, fmt=style, label=name, capsize=2)
            panel.set_xscale("log")
            panel.set_xticks(task.budgets, [f"{calls:,}" for calls in task.budgets])
            panel.set_xticks([], minor=True)
            panel.set_xlabel("model calls")
            panel.set_ylabel(task.measure if row == 0 else "reward of the chosen one")
            panel.set_title(task.name)
            panel.legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", choices=sorted(TASKS), nargs="*", default=sorted(TASKS))
    parser.add_argument("--out", type=Path, help="results are added to those that it holds")
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    tasks = [make(options.seeds) for make in TASKS.values()]
    results = json.loads(options.out.read_text()) if options.out and options.out.is_file() else {}
    results |= {task.name: run(task) for name, task in zip(TASKS, tasks, strict=True) if name in options.only}
    results = json.loads(json.dumps(results))
    if options.out:
        options.out.write_text(json.dumps(results))
    done = [task for task in tasks if task.name in results]
    print(table(done, results))
    if options.figure:
        draw(done, results, options.figure)


if __name__ == "__main__":
    main()
