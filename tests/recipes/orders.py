"""Tasks with several right answers: write the three letters of a set, in any of their six orders.

A small network writes letter by letter. Several seeds are trained side by side, as one more dimension of every tensor.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from milepost import keys
from milepost.forest import Forest
from milepost.part import Credit

LETTERS, LENGTH, HIDDEN, WIDTH = 6, 3, 24, 8
SETS = torch.tensor(
    [[float(one in chosen) for one in range(LETTERS)] for chosen in itertools.combinations(range(6), 3)]
)


@dataclass(frozen=True, kw_only=True)
class Written:
    """Answers [seeds, answers, letters], with the log-probability, direction and entropy of each letter."""

    letter: Tensor
    log_prob: Tensor
    direction: Tensor
    entropy: Tensor


class Network:
    """logits = tanh(x A + a) W with x the set, the letters written so far and their number."""

    def __init__(self, seeds: int, key: int) -> None:
        shapes = {"A": (2 * LETTERS + LENGTH, HIDDEN), "a": (1, HIDDEN), "W": (HIDDEN, LETTERS)}
        self.weights = {
            name: torch.from_numpy(keys.normal([keys.fold(key, name, seed) for seed in range(seeds)], shape)).float()
            .mul(0.4).requires_grad_()
            for name, shape in shapes.items()
        }  # fmt: skip

    def write(self, sets: Tensor, choose: Callable[[Tensor, int], Tensor]) -> Written:
        """Answer every set; `choose` picks letters from log-probabilities at a place."""
        seeds = len(self.weights["A"])
        asked = sets.expand(seeds, *sets.shape)
        so_far = torch.zeros_like(asked)
        found: list[tuple[Tensor, ...]] = []
        for place in range(LENGTH):
            number = torch.zeros(*asked.shape[:2], LENGTH)
            number[..., place] = 1
            seen = torch.cat((asked, so_far, number), 2)
            hidden = torch.tanh(seen @ self.weights["A"] + self.weights["a"])
            log_p = (hidden @ self.weights["W"]).log_softmax(-1)
            letter = choose(log_p.detach(), place)
            one_hot = torch.nn.functional.one_hot(letter, LETTERS).float()
            direction = (one_hot - log_p.detach().exp()) @ self.weights["W"].detach().transpose(1, 2)
            found.append(
                (letter, log_p.gather(2, letter[..., None])[..., 0], direction, -(log_p.exp() * log_p).sum(-1))
            )
            so_far = (so_far + one_hot).clamp(max=1)
        letters, log_prob, directions, entropy = (torch.stack(part, 2) for part in zip(*found, strict=True))
        return Written(letter=letters, log_prob=log_prob, direction=directions.sum(2), entropy=entropy)


def sampler(key: int) -> Callable[[Tensor, int], Tensor]:
    """Draws letters, with numbers of their own for every seed, answer and place."""

    def choose(log_p: Tensor, place: int) -> Tensor:
        uniform = torch.from_numpy(keys.uniform([keys.fold(key, place)], log_p.shape[0] * log_p.shape[1]))
        below = log_p.double().exp().cumsum(-1) < uniform.view(*log_p.shape[:2], 1)
        return below.sum(-1).clamp(max=LETTERS - 1)

    return choose


def is_right(sets: Tensor, letter: Tensor) -> Tensor:
    """Whether an answer holds each letter of its set once."""
    held = torch.nn.functional.one_hot(letter, LETTERS).sum(-2)
    return (held == sets).all(-1)


def warmed(seeds: int, key: int, steps: int = 30) -> Network:
    """A network that has seen all orders, the sorted one most."""
    network = Network(seeds, key)
    optimiser = torch.optim.Adam(network.weights.values(), lr=0.02)
    orders = torch.tensor(list(itertools.permutations(range(LENGTH))))
    members = SETS.topk(LENGTH, sorted=True).indices.sort(1).values
    for step in range(steps):
        drawn = keys.generator(keys.fold(key, "warm", step))
        order = orders[torch.from_numpy(drawn.choice(6, (seeds, len(SETS)), p=[0.5, 0.1, 0.1, 0.1, 0.1, 0.1]))]
        shown = members.expand(seeds, *members.shape).gather(2, order)
        loss = -network.write(SETS, lambda _, place, shown=shown: shown[..., place]).log_prob.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network


def batch(sets: Tensor, written: Written, seed: int) -> Forest:
    """Answers of one seed as a forest: one root per set."""
    right = is_right(sets, written.letter[seed]).float()
    roots, answers = len(SETS), len(sets)
    parent = [-1] * roots + (torch.arange(answers) // WIDTH).tolist()
    none = torch.zeros(roots, HIDDEN)
    return Forest.of(
        parent,
        {
            "reward.total": [None] * roots + right.tolist(),
            "ok.total": [False] * roots + [True] * answers,
            "feature.gradient": torch.cat((none, written.direction[seed])),
        },
    )


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a trained network writes, one number per seed."""

    right: Tensor
    """Share of right answers."""
    distinct: Tensor
    """Different right answers among 32 to the same set, mean over the sets."""
    cosine: Tensor
    """Mean cosine of the directions of two right answers to the same set."""


def train(credit: Credit, *, seeds: int, key: int, steps: int = 60, entropy: float = 0.0, rate: float = 0.03) -> Found:
    """Warm start, then one update per batch of eight answers to every set."""
    network = warmed(seeds, key)
    optimiser = torch.optim.Adam(network.weights.values(), lr=rate)
    sets = SETS.repeat_interleave(WIDTH, 0)
    for step in range(steps):
        written = network.write(sets, sampler(keys.fold(key, "train", step)))
        forests = [credit(batch(sets, written, seed)) for seed in range(seeds)]
        advantage = torch.stack([forest["advantage"][len(SETS) :] for forest in forests]).unsqueeze(2)
        loss = -(advantage * written.log_prob + entropy * written.entropy).mean((1, 2)).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return measured(network, key)


def measured(network: Network, key: int) -> Found:
    """Answer every set 32 times."""
    many = SETS.repeat_interleave(32, 0)
    with torch.no_grad():
        written = network.write(many, sampler(keys.fold(key, "measure")))
    right = is_right(many, written.letter)
    code = (written.letter * torch.tensor([36, 6, 1])).sum(2).where(right, -1).view(len(right), len(SETS), 32)
    distinct = torch.tensor(
        [[len(set(line.tolist()) - {-1}) for line in seed] for seed in code], dtype=torch.float64
    ).mean(1)
    unit = torch.nn.functional.normalize(written.direction, dim=2).view(len(right), len(SETS), 32, HIDDEN)
    pair = right.view(len(right), len(SETS), 32).float()
    both = pair.unsqueeze(2) * pair.unsqueeze(3) * (1 - torch.eye(32))
    cosine = ((unit @ unit.transpose(2, 3)) * both).sum((1, 2, 3)) / both.sum((1, 2, 3)).clamp(min=1)
    return Found(right=right.double().mean(1), distinct=distinct, cosine=cosine.double())
