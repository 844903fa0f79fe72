"""Updates: minibatches are whole trees, pieces give the gradient of the whole, and the optimiser's state survives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from milepost import keys
from milepost.engines.settings import UpdateSettings
from milepost.engines.update import (
    Updater,
    entries,
    minibatches,
    optimiser_for,
    optimiser_state,
    restore_optimiser,
    ways,
)
from milepost.forest import Forest, Given
from milepost.part import Loss, Observation, Proposals
from milepost.policies import loading
from milepost.policies.causal_lm import CausalLM
from milepost.policies.decoding import Decoding
from milepost.policies.tree.choice import DepthFirst
from milepost.ragged import Ragged
from tests.policies.conftest import draw_weights, small_model
from tests.policies.tree.branches import SHAPES, forest_of

KEY = keys.root(0)


@dataclass(kw_only=True)
class Table:
    """Log-probability of a token is a softmax over a table of weights, one row per position in its step."""

    tokens_at_once: int = 10_000
    weight: Tensor = field(default_factory=lambda: torch.linspace(-1, 1, 20).reshape(4, 5).requires_grad_())
    version: int = 0

    def encode(self, observations: Sequence[Observation], *, start: bool) -> Mapping[str, Given]:
        raise AssertionError("not used")

    def propose(self, forest: Forest, rows: Tensor, keys: Tensor) -> Proposals:
        raise AssertionError("not used")

    def log_prob(self, forest: Forest, rows: Tensor) -> Tensor:
        own = forest.ragged("tokens.id").select(rows)
        place = torch.arange(len(own.values)) - own.offsets[:-1][own.row]
        return self.weight.log_softmax(-1)[place, own.values.long()]

    def trainable(self) -> Mapping[str, Tensor]:
        return {"weight": self.weight}

    def advance(self) -> None:
        self.version += 1

    def restore(self, tensors: Mapping[str, Tensor], version: int) -> None:
        self.weight.data.copy_(tensors["weight"])
        self.version = version


@dataclass(frozen=True)
class Square:
    """A loss that is not linear in the log-probabilities, with a denominator over the whole batch."""

    needs_reference: bool = False

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:
        loss = (log_prob * forest["advantage"][forest.token_row]).square().sum() / log_prob.numel()
        return Loss(loss=loss, metrics={"objective/loss": float(loss.detach())})


def batch(trees: int = 6) -> Forest:
    parent = [-1] * trees + [root for root in range(trees) for _ in range(3)]
    lengths = [(row * 7) % 4 + 1 for row in range(len(parent))]
    ids = [[(row + place) % 5 for place in range(length)] for row, length in enumerate(lengths)]
    advantage = [0.1 * row - 0.7 for row in range(len(parent))]
    return Forest.of(parent, {"tokens.id": Ragged.of(ids, torch.int32), "advantage": advantage})


def updater(table: Table, **chosen: float) -> Updater:
    settings = UpdateSettings(learning_rate=0.1, **chosen)  # pyright: ignore[reportArgumentType]
    optimiser = optimiser_for(table, settings)
    return Updater(policy=table, objective=Square(), optimiser=optimiser, settings=settings, reference=None)


@pytest.mark.parametrize("tokens_at_once", [1, 12, 25])
def test_pieces_give_the_gradient_of_the_whole(tokens_at_once: int) -> None:
    whole, cut = Table(), Table(tokens_at_once=tokens_at_once)
    numbers = updater(whole)(batch(), KEY)
    assert updater(cut)(batch(), KEY) == pytest.approx(numbers, rel=1e-5)
    torch.testing.assert_close(whole.weight.grad, cut.weight.grad, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(whole.weight, cut.weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 4, 6, 9])
def test_minibatches_are_whole_trees_and_together_everything(count: int) -> None:
    forest = batch()
    shares = minibatches(forest, count, KEY)
    assert torch.cat(shares).sort().values.tolist() == list(range(len(forest)))
    for rows in shares:
        part = forest.select(rows)
        assert len(part.leaves()) == 3 * len(part.roots())
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 4
    again = minibatches(forest, count, KEY)
    assert all(torch.equal(one, two) for one, two in zip(shares, again, strict=True))


def test_entries_are_the_tokens_of_the_rows() -> None:
    forest = batch()
    rows = torch.tensor([0, 6, 7])
    expected = forest.ragged("tokens.id").select(rows).values
    assert torch.equal(forest["tokens.id"][entries(forest, rows)], expected)
    bare = Forest.of([-1, 0])
    assert entries(bare, torch.tensor([1])).tolist() == [1]


def test_one_update_counts_once_whatever_the_minibatches() -> None:
    table = Table()
    updater(table, minibatches=3)(batch(), KEY)
    assert table.version == 1


def test_the_gradient_is_clipped_to_the_limit() -> None:
    table = Table()
    numbers = updater(table, gradient_clip=1e-3)(batch(), KEY)
    assert numbers["update/gradient_norm"] > 1e-3
    assert table.weight.grad is not None
    assert float(table.weight.grad.norm()) == pytest.approx(1e-3, rel=1e-3)


def test_an_optimiser_continues_where_it_stopped() -> None:
    through, before = Table(), Table()
    straight = updater(through)
    straight(batch(), KEY)
    first = updater(before)
    first(batch(), KEY)
    kept = optimiser_state(first.optimiser, ["weight"])
    after = Table(weight=before.weight.detach().clone().requires_grad_())
    second = updater(after)
    restore_optimiser(second.optimiser, ["weight"], kept)
    straight(batch(), KEY)
    second(batch(), KEY)
    assert torch.equal(through.weight, after.weight)


# ---- trees ----


@pytest.mark.parametrize("room", [1, 30, 60])
@pytest.mark.parametrize("forced", [{}, {"training": DepthFirst()}])
def test_trees_larger_than_memory_are_differentiated_exactly(
    room: int, forced: dict[str, DepthFirst], monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, length = SHAPES["full tree"]
    twice = forest_of([*parent, *(-1 if above < 0 else above + 40 for above in parent)], [*length, *length], observed=1)
    batch = twice.with_columns({"advantage": [0.05 * row - 2 for row in range(80)]})
    tokenizer = loading.load("embedded", decoding=Decoding()).tokenizer
    weights: list[dict[str, Tensor]] = []
    metrics: list[dict[str, float]] = []
    for chosen in ({}, forced):
        learner = CausalLM(model=draw_weights(small_model(), 0.15), tokenizer=tokenizer, **chosen)
        settings = UpdateSettings(learning_rate=0.1)
        optimiser = torch.optim.SGD(learner.trainable().values(), lr=0.1)
        work = Updater(policy=learner, objective=Square(), optimiser=optimiser, settings=settings, reference=None)
        metrics.append(work(batch, KEY))
        weights.append({name: value.detach() for name, value in learner.trainable().items()})
        monkeypatch.setattr(CausalLM, "tokens_at_once", room)
    whole, cut = metrics
    for name in weights[0]:
        torch.testing.assert_close(weights[1][name], weights[0][name], rtol=1e-5, atol=1e-7)
    assert cut["objective/loss"] == pytest.approx(whole["objective/loss"], rel=1e-5)
    assert (whole["update/packed_trees"], whole["update/depth_first_trees"]) == (2.0, 0.0)
    assert (cut["update/packed_trees"], cut["update/depth_first_trees"]) == (0.0, 2.0)
    assert whole["update/unique_tokens"] == 2 * (120 - 2 * 27)
    assert whole["update/repeated_tokens"] == 2 * 27 * (12 - 2)
    assert ways(cut) == "2 trees depth first"


def test_ways_in_words() -> None:
    assert ways({"update/packed_trees": 8.0, "update/depth_first_trees": 1.0}) == "8 trees packed, 1 tree depth first"
    assert ways({"update/packed_trees": 0.0, "objective/loss": 1.0}) == ""
