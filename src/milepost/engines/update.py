"""One update of the weights: log-probabilities, objective, gradients, optimiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from milepost import keys
from milepost.engines.settings import UpdateSettings
from milepost.errors import MilepostError
from milepost.forest import Forest
from milepost.objectives.combined.exact_kl import Against, Diverging, PenalisesDivergence
from milepost.part import Learner, Loss, Objective, Policy


@runtime_checkable
class Shares(Protocol):
    """A learner that computes what trajectories share once, and need not hold the graph of a whole batch."""

    def push(self, forest: Forest, rows: Tensor, slope: Tensor) -> None:
        """Add to the gradients of the weights, given d loss / d `log_prob(forest, rows)`."""
        ...

    def sharing(self, forest: Forest, rows: Tensor) -> Mapping[str, float]:
        """Numbers named `update/...`: tokens with and without repetition, and trees by the way they are trained."""
        ...


@runtime_checkable
class Appraises(Protocol):
    """A learner with a critic."""

    def appraise(self, forest: Forest, rows: Tensor) -> Any:
        """Log-probability, entropy and values of rows, as the objective takes them."""
        ...


@runtime_checkable
class TrainsCritic(Protocol):
    """An objective that also has something to say to a critic."""

    def appraised(self, forest: Forest, appraisal: Any, reference: Tensor | None = None) -> Loss:
        """Loss of the forest's steps, given what the policy says of each row."""
        ...


@dataclass(frozen=True, kw_only=True)
class Updater:
    """What changes the weights of a policy."""

    policy: Learner
    objective: Objective
    optimiser: torch.optim.Optimizer
    settings: UpdateSettings
    reference: Policy | None

    def __call__(self, forest: Forest, key: int) -> dict[str, float]:
        """Take the optimiser steps of one batch.

        Args:
            forest: a batch with `advantage`.
            key: decides which tasks share a minibatch.

        Returns:
            Metrics, the mean over minibatches.
        """
        found = [
            self._step(forest.select(rows))
            for epoch in range(self.settings.epochs)
            for rows in minibatches(forest, self.settings.minibatches, keys.fold(key, "epoch", epoch) if epoch else key)
        ]
        self.policy.advance()
        return {name: sum(one[name] for one in found) / len(found) for name in found[0]}

    def _step(self, forest: Forest) -> dict[str, float]:
        self.optimiser.zero_grad(set_to_none=True)
        metrics = self._differentiate(forest)
        weights = list(self.policy.trainable().values())
        norm = torch.nn.utils.clip_grad_norm_(weights, self.settings.gradient_clip)
        if not bool(norm.isfinite()):
            raise MilepostError(
                "The gradient is not finite: the policy diverged. Start again, or resume from the last checkpoint with "
                "--accept-change, with a lower learning rate."
            )
        self.optimiser.step()
        return {**metrics, **self._shared(forest), "update/gradient_norm": float(norm)}

    def _differentiate(self, forest: Forest) -> dict[str, float]:
        every = torch.arange(len(forest))
        if isinstance(self.objective, PenalisesDivergence) and isinstance(self.policy, Diverging):
            return self._differentiate_against(forest, self.objective, self.policy)
        reference = None if self.reference is None else _frozen(self.reference, forest, every)
        if isinstance(self.policy, Appraises) and isinstance(self.objective, TrainsCritic):
            found = self.objective.appraised(forest, self.policy.appraise(forest, every), reference)
            found.loss.backward()
            return dict(found.metrics)
        pieces = _pieces(forest, self.policy.tokens_at_once)
        if len(pieces) == 1:
            found = self.objective(forest, self.policy.log_prob(forest, every), reference)
            found.loss.backward()
            return dict(found.metrics)
        return self._differentiate_in_pieces(forest, pieces, reference)

    def _differentiate_against(
        self, forest: Forest, objective: PenalisesDivergence, policy: Diverging
    ) -> dict[str, float]:
        """The divergence from the reference, like the log-probabilities: in pieces where it must be."""
        reference = self.reference
        pieces = _pieces(forest, self.policy.tokens_at_once)
        if len(pieces) == 1:
            found = objective.compared(forest, policy.against(forest, pieces[0], reference))
            found.loss.backward()
            return dict(found.metrics)
        with torch.no_grad():
            told = [policy.against(forest, rows, reference) for rows in pieces]
            log_prob = _scatter(forest, pieces, [one.log_prob for one in told])
            divergence = _scatter(forest, pieces, [one.divergence for one in told])
        whole = Against(log_prob=log_prob.requires_grad_(), divergence=divergence.requires_grad_())
        found = objective.compared(forest, whole)
        slopes = torch.autograd.grad(found.loss, (whole.log_prob, whole.divergence))
        for rows in pieces:
            again = policy.against(forest, rows, reference)
            if again.log_prob.requires_grad:  # a piece may hold no step that the policy chose
                torch.autograd.backward((again.log_prob, again.divergence), [slope[rows] for slope in slopes])
        return dict(found.metrics)

    def _differentiate_in_pieces(
        self, forest: Forest, pieces: Sequence[Tensor], reference: Tensor | None
    ) -> dict[str, float]:
        """Same gradient with less memory: first d loss / d log-probabilities, then one piece of the graph at a time."""
        with torch.no_grad():
            whole = _scatter(forest, pieces, [self.policy.log_prob(forest, rows) for rows in pieces])
        leaf = whole.requires_grad_()
        found = self.objective(forest, leaf, reference)
        (slope,) = torch.autograd.grad(found.loss, leaf)
        for rows in pieces:
            self._push(forest, rows, slope[entries(forest, rows)])
        return dict(found.metrics)

    def _push(self, forest: Forest, rows: Tensor, slope: Tensor) -> None:
        if isinstance(self.policy, Shares):
            self.policy.push(forest, rows, slope)
            return
        value = self.policy.log_prob(forest, rows)
        if value.requires_grad:  # a piece may hold no step that the policy chose
            value.backward(slope)

    def _shared(self, forest: Forest) -> Mapping[str, float]:
        return self.policy.sharing(forest, torch.arange(len(forest))) if isinstance(self.policy, Shares) else {}


def ways(numbers: Mapping[str, float]) -> str:
    """How the trees of an update were trained, in words.

    Args:
        numbers: metrics of an update.

    Returns:
        Such as "8 trees packed, 1 tree depth first"; empty where nothing is known of it.
    """
    named = {way: int(numbers.get(f"update/{way}_trees", 0)) for way in ("packed", "depth_first", "separate")}
    shown = {way.replace("_", " "): count for way, count in named.items() if count}
    return ", ".join(f"{count} {'tree' if count == 1 else 'trees'} {way}" for way, count in shown.items())


def _frozen(policy: Policy, forest: Forest, rows: Tensor) -> Tensor:
    with torch.no_grad():
        return policy.log_prob(forest, rows)


def entries(forest: Forest, rows: Tensor) -> Tensor:
    """Positions, in a vector with one value per token of the forest, of the tokens of the given rows.

    Args:
        forest: with tokens, or without: then one value per row is meant.
        rows: rising row numbers.

    Returns:
        int64 positions, in order.
    """
    if forest.token_offsets is None:
        return rows
    marked = torch.zeros(len(forest), dtype=torch.bool).index_fill(0, rows, True)
    return marked[forest.token_row].nonzero().squeeze(1)


def _scatter(forest: Forest, pieces: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
    size = len(forest) if forest.token_offsets is None else int(forest.token_offsets[-1])
    whole = values[0].new_zeros(size)
    for rows, value in zip(pieces, values, strict=True):
        whole[entries(forest, rows)] = value
    return whole


def _pieces(forest: Forest, tokens_at_once: int) -> list[Tensor]:
    """Whole trees, as many together as hold at most `tokens_at_once` tokens; without tokens as many steps."""
    every = torch.arange(len(forest))
    if forest.token_offsets is None:
        return list(every.split(min(tokens_at_once, max(len(every), 1))))
    if int(forest.token_offsets[-1]) <= tokens_at_once:
        return [every]
    root = forest.root_of()
    size = torch.zeros(len(forest), dtype=torch.int64).index_add_(0, root, forest.token_offsets.diff())[forest.roots()]
    piece, held, of_root = 0, 0, torch.zeros(len(forest), dtype=torch.int64)
    for row, tokens in zip(forest.roots().tolist(), size.tolist(), strict=True):
        if held and held + tokens > tokens_at_once:
            piece, held = piece + 1, 0
        held, of_root[row] = held + tokens, piece
    return [every[of_root[root] == number] for number in range(piece + 1)]


def minibatches(forest: Forest, count: int, key: int) -> list[Tensor]:
    """Split a batch into minibatches of whole trees.

    Args:
        forest: the batch.
        count: minibatches wanted; never more than there are trees.
        key: decides which trees go together.

    Returns:
        Rising row numbers of each minibatch.
    """
    roots = forest.roots()
    shares = min(count, len(roots))
    if shares <= 1:
        return [torch.arange(len(forest))]
    order = torch.from_numpy(keys.generator(keys.fold(key, "minibatches")).permutation(len(roots)))
    share = torch.zeros(len(forest), dtype=torch.int64)
    share[roots[order]] = torch.arange(len(roots)) % shares
    return [(share[forest.root_of()] == number).nonzero().squeeze(1) for number in range(shares)]


def optimiser_for(policy: Learner, settings: UpdateSettings) -> torch.optim.Optimizer:
    """Adam over the policy's trainable parameters, without weight decay.

    Args:
        policy: what is trained.
        settings: holds the learning rate.

    Returns:
        The optimiser.

    Source: Kingma and Ba 2015; betas 0.9 and 0.999, epsilon 1e-8.
    """
    return torch.optim.Adam(list(policy.trainable().values()), lr=settings.learning_rate)


def optimiser_state(optimiser: torch.optim.Optimizer, names: Sequence[str]) -> dict[str, Tensor]:
    """State of an optimiser as named tensors.

    Args:
        optimiser: as made by `optimiser_for`.
        names: names of its parameters, in order.

    Returns:
        Tensors named "<parameter>/<quantity>"; empty before the first step.
    """
    state = optimiser.state_dict()["state"]
    return {f"{names[index]}/{kind}": value for index, kinds in state.items() for kind, value in kinds.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, names: Sequence[str], tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimiser_state` returned.

    Args:
        optimiser: a new one over the same parameters.
        names: names of its parameters, in order.
        tensors: what `optimiser_state` returned.
    """
    state: dict[int, dict[str, Tensor]] = {}
    place = {name: index for index, name in enumerate(names)}
    for label, value in tensors.items():
        name, _, kind = label.rpartition("/")
        state.setdefault(place[name], {})[kind] = value
    whole = optimiser.state_dict()
    optimiser.load_state_dict({**whole, "state": state})
