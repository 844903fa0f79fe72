"""Informed RRT* beside OMPL's RRT* and Informed RRT*: six problems, equal time on the clock, cost of the best path.

    python -m benchmarks.planning [--seeds 20] [--seconds 1] [--out planning.json] [--figure planning.svg]

OMPL's planners are C++ and ask a Python function whether a state is allowed; here that function is machine code as well
(numba), called with plain numbers. Its motions are looked at every `SPACING` length units, ours among boxes are exact.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from milepost import keys
from milepost.planning.planner import RRTStar
from milepost.planning.problems import NAMES, Problem, problem

POINTS = 10
SPACING = {"wide": 0.01, "arm-pillar": 0.05, "arm-shelf": 0.05}
PLANNERS = ("milepost informed", "milepost RRT*", "OMPL Informed RRT*", "OMPL RRT*")


def own(name: str, planner: str, seeds: int, seconds: float) -> list[list[float]]:
    """Cost at each of the points in time, one list per seed."""
    part = RRTStar(informed=planner == PLANNERS[0])
    found = []
    for seed in range(seeds):
        plan = part.plan(problem(name), key=keys.root(seed), seconds=seconds)
        times = [seconds * (point + 1) / POINTS for point in range(POINTS)]
        found.append([min((n.cost for n in plan.progress if n.seconds <= t), default=math.inf) for t in times])
    return found


def checker(task: Problem) -> Callable[[Any], bool]:
    """A machine-code function of plain numbers that says whether a state is allowed."""
    import numba
    import numpy as np

    boxes, links, discs = (np.array(x, dtype=float) for x in (task.boxes, task.links, task.discs))

    @numba.njit
    def point(x: float, y: float) -> bool:
        for box in range(boxes.shape[0]):
            if boxes[box, 0, 0] <= x <= boxes[box, 1, 0] and boxes[box, 0, 1] <= y <= boxes[box, 1, 1]:
                return False
        return True

    @numba.njit
    def arm(a: float, b: float, c: float, d: float, e: float, f: float) -> bool:
        x, y, angle = 0.0, 0.0, 0.0
        for link, turn in enumerate((a, b, c, d, e, f)):
            angle += turn
            dx, dy = links[link] * math.cos(angle), links[link] * math.sin(angle)
            for disc in range(discs.shape[0]):
                along = (discs[disc, 0] - x) * dx + (discs[disc, 1] - y) * dy
                part = min(1.0, max(0.0, along / (dx * dx + dy * dy)))
                if (x + part * dx - discs[disc, 0]) ** 2 + (y + part * dy - discs[disc, 1]) ** 2 <= discs[disc, 2] ** 2:
                    return False
            x, y = x + dx, y + dy
        return True

    if task.links:
        arm(*map(float, task.start))
        return lambda s: arm(s[0], s[1], s[2], s[3], s[4], s[5])
    point(*map(float, task.start))
    return lambda s: point(s[0], s[1])


def ompl_runs(name: str, planner: str, seeds: int, seconds: float) -> list[list[float]]:
    """The same with OMPL; its random stream is seeded once per process, so repeats go on in it."""
    from ompl import base, geometric

    task = problem(name)
    allowed, found = checker(task), []
    for _ in range(seeds):
        space = base.RealVectorStateSpace(task.dimension)
        bounds = base.RealVectorBounds(task.dimension)
        for axis in range(task.dimension):
            bounds.setLow(axis, task.low[axis])
            bounds.setHigh(axis, task.high[axis])
        space.setBounds(bounds)
        setup = geometric.SimpleSetup(space)
        setup.setStateValidityChecker(allowed)
        start, goal = space.allocState(), space.allocState()
        for axis in range(task.dimension):
            start[axis], goal[axis] = task.start[axis], task.goal[axis]
        setup.setStartAndGoalStates(start, goal)
        info = setup.getSpaceInformation()
        info.setStateValidityCheckingResolution(SPACING.get(name, 0.005) / space.getMaximumExtent())
        setup.setOptimizationObjective(base.PathLengthOptimizationObjective(info))
        kind = geometric.InformedRRTstar if planner == PLANNERS[2] else geometric.RRTstar
        setup.setPlanner(kind(info))
        costs = []
        for _ in range(POINTS):
            setup.solve(seconds / POINTS)
            costs.append(setup.getSolutionPath().length() if setup.haveExactSolutionPath() else math.inf)
        found.append(costs)
    return found


def table(results: dict) -> str:
    """Median cost at the end, and who is best."""
    lines = ["| problem | " + " | ".join(PLANNERS) + " |", "|---|" + "---|" * len(PLANNERS)]
    for name in NAMES:
        ends = [statistics.median(run[-1] for run in results[name][planner]) for planner in PLANNERS]
        lines.append(f"| {name} | " + " | ".join(f"{end:.4f}" for end in ends) + " |")
    return "\n".join(lines)


def draw(results: dict, seconds: float, path: Path) -> None:
    """Median cost over time with quartiles, one panel per problem."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(2, 3, figsize=(12, 6.5), sharex=True, layout="constrained")
    times = [seconds * (point + 1) / POINTS for point in range(POINTS)]
    for panel, name in zip(panels.flat, NAMES, strict=True):
        for planner, style in zip(PLANNERS, ("C0-", "C0:", "C1-", "C1:"), strict=True):
            columns = list(zip(*results[name][planner], strict=True))
            panel.plot(times, [statistics.median(column) for column in columns], style, label=planner)
        panel.set_title(name)
        panel.set_ylabel("length of the best path")
        panel.set_xlabel("seconds")
    panels.flat[0].legend()
    figure.savefig(path)


def main() -> None:
    """Run everything, OMPL in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--only-ompl", action="store_true", help="print OMPL's costs as JSON and stop")
    options = parser.parse_args()
    if options.only_ompl:
        from ompl import util

        util.setLogLevel(util.LOG_NONE)
        util.RNG.setSeed(1)
        runs = {n: {p: ompl_runs(n, p, options.seeds, options.seconds) for p in PLANNERS[2:]} for n in NAMES}
        print(json.dumps(runs))
        return
    command = [sys.executable, "-m", "benchmarks.planning", "--only-ompl"]
    command += ["--seeds", str(options.seeds), "--seconds", str(options.seconds)]
    results = {n: {p: own(n, p, options.seeds, options.seconds) for p in PLANNERS[:2]} for n in NAMES}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    theirs = json.loads(done.stdout.splitlines()[-1])
    for name in NAMES:
        results[name] |= theirs[name]
    print(f"Median of {options.seeds} seeds after {options.seconds:g} s\n")
    print(table(results))
    if options.out:
        options.out.write_text(json.dumps(results))
    if options.figure:
        draw(results, options.seconds, options.figure)


if __name__ == "__main__":
    main()
