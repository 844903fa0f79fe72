"""Mini-o3's game: accuracy as a function of the cap on turns, of policies that were trained with a cap of 6.

    python -m benchmarks.agents.mini_o3 [--seeds 5] [--figure mini_o3.svg]

The game and its training are those of tests/recipes/test_mini_o3.py: a target hides in one of 32 cells; a turn looks
into one, or guesses among four, which ends the game. Prints Markdown for docs/evidence.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from milepost import keys
from milepost.credit.by_root import ByRoot
from milepost.credit.group import Normalised
from milepost.recipes import mini_o3
from tests.recipes.test_mini_o3 import CAP, WIDTH, play, train

CAPS, GAMES = (2, 4, 6, 8, 12, 16, 24, 32), 20_000


def curves(seeds: int) -> dict[str, torch.Tensor]:
    """Accuracy of each way of training: a row per seed, a column per cap of the test."""
    job = mini_o3.build(width=WIDTH)
    ways: dict[str, Any] = {
        "every trajectory counts (GRPO)": ByRoot(rule=Normalised(ddof=1)),
        "over-turn trajectories masked": job.credit,
        "and left out of the statistics": mini_o3.build(completed_only=True).credit,
    }
    found: dict[str, torch.Tensor] = {}
    for name, credit in ways.items():
        weights = [train(credit, job.objective, seed) for seed in range(seeds)]
        rows = [
            [float(play(weight, GAMES, cap, keys.generator(cap))[2].double().mean()) for cap in CAPS]
            for weight in weights
        ]
        found[name] = torch.tensor(rows)
    return found


def draw(found: dict[str, torch.Tensor], path: Path) -> None:
    """One line per way of training, its range over seeds as a band."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "mini-o3"
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    styles = (("#b3412c", "--", -1, (-4, 6), "right"), ("#1f5fa8", "-", -2, (6, -14), "left"))
    styles = (*styles, ("#2d7d46", "-.", -1, (-4, 6), "right"))
    for (name, rows), (colour, dash, place, offset, side) in zip(found.items(), styles, strict=True):
        mean = rows.mean(0).tolist()
        axes.fill_between(CAPS, rows.amin(0), rows.amax(0), color=colour, alpha=0.15, linewidth=0)
        axes.plot(CAPS, mean, color=colour, linestyle=dash, marker="o", markersize=4)
        at = (CAPS[place], mean[place])
        axes.annotate(name, at, xytext=offset, textcoords="offset points", color=colour, ha=side)
    axes.axvline(CAP, color="#777777", linewidth=1)
    axes.annotate(f"trained with {CAP}", (CAP, 0.96), xytext=(4, 0), textcoords="offset points", color="#555555")
    axes.set(xlabel="turns allowed when tested", ylabel="accuracy", ylim=(0, 1.08), xticks=CAPS)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Train, test, print, draw."""
    parser = argparse.ArgumentParser(description="Mini-o3's game at every cap.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    found = curves(options.seeds)
    print(f"| trained with {CAP} turns, tested with | {' | '.join(map(str, CAPS))} |")
    print(f"|---|{'---|' * len(CAPS)}")
    for name, rows in found.items():
        print(f"| {name} | {' | '.join(f'{one:.2f}' for one in rows.mean(0).tolist())} |")
    if options.figure:
        draw(found, options.figure)


if __name__ == "__main__":
    main()
