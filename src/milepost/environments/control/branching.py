"""States of simulators that change with every step, as values: any of them can be stepped from, many times.

A state remembers the action that led to it and the state before. The simulator that stands there goes on with the first
action that is taken; for every further one a simulator is brought back, from the nearest snapshot above or from the
start, by repeating the actions. What it shows and pays on the way must be what was shown before, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from milepost.environments.control.simulator import Answer, Simulator
from milepost.errors import MilepostError


@dataclass(kw_only=True, eq=False)
class Node:
    """A state: how it is reached, and what was found there."""

    parent: Node | None
    seed: int
    """Of the start."""
    key: int = 0
    """Randomness of the step that led here."""
    action: Any = None
    depth: int = 0
    """Steps since the start."""
    earned: float = 0.0
    """Sum of the payoffs since the start."""
    digest: bytes = b""
    """Of what was shown and paid here."""
    simulator: Simulator | None = None
    """What stands here, until a step takes it further."""
    kept: Any = None
    """Snapshot, where one was taken."""
    baseline: Any = None
    """What facts of the episode are measured from."""


@dataclass(kw_only=True, eq=False)
class Stable:
    """Simulators of one kind, and how states are come back to."""

    make: Callable[[], Simulator]
    keep_every: int
    """Steps between snapshots; 0 takes none."""
    idle: list[Simulator] = field(default_factory=list[Simulator])
    replayed: int = 0
    """Steps that were repeated to come back to a state."""

    def begin(self, seed: int) -> tuple[Node, Answer]:
        """Start an episode.

        Args:
            seed: decides everything that is drawn at the start.

        Returns:
            The first state, and what the simulator said.
        """
        simulator = self._free()
        answer = simulator.reset(seed)
        return Node(parent=None, seed=seed, digest=answer.digest(), simulator=simulator), answer

    def go(self, node: Node, action: Any, key: int) -> tuple[Node, Answer]:
        """Take an action in a state; the state stays what it is.

        Args:
            node: the state.
            action: as the simulator takes it.
            key: randomness of the step.

        Returns:
            The next state, and what the simulator said.

        Raises:
            MilepostError: the state was come back to, and the simulator did not do again what it had done.
        """
        simulator = self._at(node)
        answer = simulator.step(action, key)
        after = Node(
            parent=node,
            seed=node.seed,
            key=key,
            action=action,
            depth=node.depth + 1,
            earned=node.earned + answer.payoff,
            digest=answer.digest(),
            simulator=simulator,
            baseline=node.baseline,
        )
        if self.keep_every and after.depth % self.keep_every == 0:
            after.kept = simulator.snapshot()
        return after, answer

    def release(self, node: Node) -> None:
        """Give the simulator that stands at an ended episode to the next one."""
        if node.simulator is not None:
            self.idle.append(node.simulator)
            node.simulator = None

    def close(self) -> None:
        """Close the simulators that nobody uses."""
        while self.idle:
            self.idle.pop().close()

    def _free(self) -> Simulator:
        return self.idle.pop() if self.idle else self.make()

    def _at(self, node: Node) -> Simulator:
        if node.simulator is not None:
            found, node.simulator = node.simulator, None
            return found
        simulator, behind, at = self._free(), list[Node](), node
        while at.kept is None and at.parent is not None:
            behind.append(at)
            at = at.parent
        if at.kept is not None:
            simulator.restore(at.kept)
        else:
            _same(at, simulator.reset(at.seed))
        for one in reversed(behind):
            _same(one, simulator.step(one.action, one.key))
        self.replayed += len(behind)
        return simulator


def _same(node: Node, answer: Answer) -> None:
    if answer.digest() != node.digest:
        raise MilepostError(
            f"A simulator was brought back to step {node.depth} by repeating its actions, and what it showed there "
            "differs: it keeps something that neither its seed nor the key of a step decides. Sample without branches "
            "from it (sampling.independent.Independent), or have it draw from `np_random` only."
        )
