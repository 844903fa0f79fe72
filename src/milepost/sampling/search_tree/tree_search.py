"""A search tree as a sampler: walk down by value, add one trajectory where a node is not full, back its reward up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import checks, keys, segments
from milepost.columns import End
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.part import Extension
from milepost.sampling.branching.hooks import Scorer
from milepost.sampling.search_tree.known import Known, begin, below, longer, visited
from milepost.sampling.search_tree.selection import Budget, Children, Selector, Widening
from milepost.segments import Reduce


class Reduction(Protocol):
    """How the values of children become that of the node, such as `credit.tree.values.SoftMean`."""

    @property
    def reduce(self) -> Reduce:
        """The grouped reduction; of one row it is the row's value."""
        ...


@dataclass(frozen=True, kw_only=True)
class TreeSearch:
    """Grows one search tree per root.

    Each walk starts at the root and follows `selector` through nodes that have as many children as `widening` allows.
    The first that has not gets one more child, from which the trajectory is sampled to its end; all its steps stay in
    the tree. Its reward is backed up to the root. A walk that ends at a finished trajectory costs nothing and counts as
    a visit. What is drawn from the finished tree, see `drawing`, is the result; the leaves are not.

    Source: Diffusion Tree Sampling, arXiv:2506.20701. The same search serves turns of an agent and chunks of a text.
    Limits: a widening with exponent 1 gives independent trajectories.

    Example:
        >>> from milepost.sampling.search_tree.selection import Boltzmann
        >>> from functools import partial
        >>> soft = partial(segments.group_soft_mean, temperature=1.0)
        >>> TreeSearch(scorer=lambda forest, rows: forest, selector=Boltzmann(), forks=(2, 4)).forks
        (2, 4)
    """

    scorer: Scorer
    """Scores finished trajectories."""
    selector: Selector
    reduction: Reduction | None = None
    """None: the soft mean at temperature 1."""
    widening: Widening = field(default_factory=Widening)
    forks: tuple[int, ...] = ()
    """Numbers of steps after which a row may have several children, besides the root; none are named: after each."""
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        """Check the forks."""
        for depth in self.forks:
            checks.at_least("forks", depth, 1)

    def init(self, forest: Forest, key: int) -> Known:  # noqa: ARG002 - the walks take the keys of the roots
        """State for a forest of roots, with the first walks."""
        return self._planned(forest, begin(forest))

    def ask(self, forest: Forest, state: Known) -> Extension | None:
        """The next step of every trajectory on its way, and a new child where a walk has ended."""
        fresh, counts = state.targets.unique(return_counts=True)
        under_way = _under_way(forest)
        if len(fresh) + len(under_way) == 0:
            return None
        return Extension(rows=torch.cat((under_way, fresh)), counts=torch.cat((torch.ones_like(under_way), counts)))

    def review(self, forest: Forest, rows: Tensor, state: Known) -> Forest:  # noqa: ARG002 - the sampler protocol
        """Score what has ended."""
        ended = rows[forest["end"][rows] != int(End.OPEN)]
        return self.scorer(forest, ended) if len(ended) else forest

    def tell(self, forest: Forest, rows: Tensor, state: Known) -> Known:
        """Back up what has ended, and walk down again where nothing is on its way."""
        self._refuse_equal_children(forest, rows, state)
        known = longer(replace(state, targets=state.targets[:0]), forest, rows)
        ended = rows[forest["end"][rows] != int(End.OPEN)]
        return self._planned(forest, visited(known, forest.parent, ended, self._reduce))

    @property
    def _reduce(self) -> Reduce:
        return _soft_mean if self.reduction is None else self.reduction.reduce

    def _refuse_equal_children(self, forest: Forest, rows: Tensor, state: Known) -> None:
        """A step without noise leads from one state to one other: to branch before it is to compute it twice."""
        if "stochastic" not in forest:
            return
        fork = rows[torch.isin(forest.parent[rows], state.targets) & (state.depth[forest.parent[rows]] > 0)]
        if bool((~forest["stochastic"][fork]).any()):
            raise SettingError(
                f"forks={self.forks} let the tree branch where the next step has no noise, so that all children would "
                "be equal: name numbers of steps after which the process has noise."
            )

    def _planned(self, forest: Forest, known: Known) -> Known:
        """Walk down the tree of every root of which nothing is on its way, until each has a step to take or is done."""
        roots, budget = forest.roots(), self.budget
        busy = torch.isin(roots, forest.root_of()[_under_way(forest)])
        while True:
            left = (known.descents < budget.descents) & (known.calls < budget.calls) & ~busy
            idle = left.nonzero().squeeze(1)
            if len(idle) == 0:
                return known
            found, of = self._walks(forest, known, idle)
            ended = forest["end"][found] != int(End.OPEN)
            known = visited(known, forest.parent, found[ended], self._reduce)
            descents = known.descents.index_add(0, of, torch.ones_like(of))
            known = replace(known, descents=descents, targets=torch.cat((known.targets, found[~ended])))
            busy = busy.index_fill(0, of[~ended], True)

    def _walks(self, forest: Forest, known: Known, idle: Int[Tensor, " i"]) -> tuple[Tensor, Tensor]:
        """Up to `at_once` walks for each idle root, each counted before the next: where they stop, and whose they are.

        No more are begun than the calls that are left would pay for if each were as long as the longest so far.
        """
        longest, found, of = int(known.depth.max()) + 1, list[Tensor](), list[Tensor]()
        visits, children = known.visits.clone(), segments.child_count(forest.parent)
        for walk in range(self.budget.at_once):
            own = idle[self.budget.calls - known.calls[idle] > walk * (longest - 1)]
            root_keys = forest["key"][forest.roots()[own]].tolist()
            numbers = (known.descents[own] + walk).tolist()
            draw = torch.from_numpy(keys.uniform(keys.children(root_keys, "walk", numbers).tolist(), longest))
            at, seen = self._walk(forest, replace(known, visits=visits), children, own, draw)
            visits = visits.index_add(0, seen, torch.ones_like(seen))
            children = children.index_add(0, at, torch.ones_like(at))
            found.append(at)
            of.append(own)
        return torch.cat(found), torch.cat(of)

    def _walk(
        self, forest: Forest, known: Known, children: Tensor, idle: Tensor, draw: Float[Tensor, "i d"]
    ) -> tuple[Tensor, Tensor]:
        """One walk from each root: the rows where they stop, and all rows passed."""
        spread = _spread(forest, known)
        at = forest.roots()[idle].clone()
        going, passed = torch.arange(len(idle)), [at.clone()]
        while len(going := going[self._full(forest, known, children, at[going])]):
            child, group = below(forest.parent, at[going])
            keep = known.ok[child]
            child, group = child[keep], group[keep]
            seen = Children(
                value=known.value[child], visits=known.visits[child], above=known.visits[forest.parent[child]],
                spread=spread[idle[going][group]], group=group, groups=len(going),
            )  # fmt: skip
            at[going] = child[self.selector(seen, draw[going, known.depth[at[going]]])]
            passed.append(at[going])
        return at, torch.cat(passed)

    def _full(self, forest: Forest, known: Known, children: Tensor, rows: Tensor) -> Bool[Tensor, " k"]:
        """Rows that a walk passes through: they have a child with a value, and not more room."""
        limit = self.widening.limit(known.visits[rows])
        forks = torch.tensor((0, *self.forks))
        single = torch.ones_like(limit) if self.forks else limit
        room = children[rows] < torch.where(torch.isin(known.depth[rows], forks), limit, single)
        return ~room & known.ok[rows] & (forest["end"][rows] == int(End.OPEN))


def _soft_mean(value: Tensor, group: Tensor, groups: int, ok: Tensor) -> Tensor:
    return segments.group_soft_mean(value, group, groups, ok, temperature=1.0)


def _under_way(forest: Forest) -> Int[Tensor, " k"]:
    """Trajectories that have begun and not ended: open leaves below a root."""
    rows = forest.open_rows()
    return rows[forest.parent[rows] >= 0]


def _spread(forest: Forest, known: Known) -> Float[Tensor, " r"]:
    """Standard deviation of the rewards of the finished trajectories of each root; 1 where there is none."""
    roots = forest.roots()
    leaf = (known.ok & (forest["end"] != int(End.OPEN))).nonzero().squeeze(1)
    group = torch.searchsorted(roots, forest.root_of()[leaf])
    every = torch.ones(len(leaf), dtype=torch.bool)
    found = segments.group_std(known.value[leaf], group, len(roots), every, ddof=0)
    return torch.where(found > 0, found, 1)
