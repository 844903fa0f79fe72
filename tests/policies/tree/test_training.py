"""Tree training is exact: values, losses and all gradients are those of every path by itself, whatever the shape."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
import torch

from milepost import keys
from milepost.columns import Role
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.policies import loading, shared_prefix
from milepost.policies.causal_lm import CausalLM
from milepost.policies.decoding import Decoding
from milepost.policies.tree.choice import Automatic, DepthFirst, Machine, Packed, TreeTraining
from milepost.policies.tree.layout import lay_out
from milepost.policies.tree.training import Trees, plan
from milepost.ragged import Ragged
from tests.policies.conftest import draw_weights, small_model
from tests.policies.tree.branches import KEY, SHAPES, forest_of, furthest, gradients, separate_paths

METHODS: dict[str, tuple[TreeTraining, int]] = {
    "packed": (Packed(), 32_768),
    "packed, in parts": (Packed(), 10),
    "depth first": (DepthFirst(), 32_768),
    "depth first, one strand at a time": (DepthFirst(), 1),
    "automatic, little memory": (Automatic(), 12),
}


def trees(model, forest: Forest, method: str, *, temperature: float = 1.0) -> Trees:
    training, room = METHODS[method]
    machine = dataclasses.replace(Machine.of(model, 2**30), room=room)
    rows = torch.arange(len(forest))
    return Trees.of(model, forest, rows, temperature=temperature, machine=machine, training=training)


def slopes(forest: Forest) -> torch.Tensor:
    return torch.from_numpy(keys.normal([keys.fold(KEY, "slope")], (len(forest["tokens.id"]),))[0]).float()


def check(model, forest: Forest, method: str, *, temperature: float = 1.0) -> None:
    """Values, a loss that is not linear in them, and every gradient."""
    weight = slopes(forest)
    expected = separate_paths(model, forest, temperature)
    (weight * expected.exp()).sum().backward()
    exact = gradients(model)
    found = trees(model, forest, method, temperature=temperature).log_prob()
    loss = (weight * found.exp()).sum()
    loss.backward()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(loss, (weight * expected.exp()).sum(), rtol=1e-5, atol=1e-7)
    assert furthest(gradients(model), exact) < 1e-5
    with torch.no_grad():
        torch.testing.assert_close(trees(model, forest, method, temperature=temperature).log_prob(), found.detach())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", SHAPES)
def test_values_loss_and_gradients_are_those_of_separate_paths(shape: str, method: str) -> None:
    check(draw_weights(small_model(), 0.15), forest_of(*SHAPES[shape]), method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", ["ragged", "deep chain", "full tree"])
def test_observations_between_the_turns(shape: str, method: str) -> None:
    check(draw_weights(small_model(), 0.15), forest_of(*SHAPES[shape], observed=1), method, temperature=0.7)


@pytest.mark.parametrize("method", METHODS)
def test_adapters(method: str) -> None:
    model = loading.with_adapters(draw_weights(small_model(), 0.15), 3, KEY)
    with torch.no_grad():  # B starts at 0: without values of its own A has no gradient
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.copy_(torch.from_numpy(keys.normal([keys.fold(KEY, name)], tuple(value.shape))[0]) * 0.1)
    check(model, forest_of(*SHAPES["ragged"], observed=1), method)


@pytest.mark.parametrize("kind", ["Qwen2", "Qwen3", "GPTNeoX", "Olmo2"])
@pytest.mark.parametrize("method", ["packed", "depth first"])
def test_other_families(kind: str, method: str) -> None:
    settings = {"Qwen3": {"head_dim": 8}, "GPTNeoX": {"rotary_pct": 0.5}}.get(kind, {})
    check(draw_weights(small_model(kind, **settings), 0.15), forest_of(*SHAPES["ragged"]), method)


@pytest.mark.parametrize("method", METHODS)
def test_models_that_cannot_share_are_trained_by_path(method: str) -> None:
    model = draw_weights(small_model("Mistral", sliding_window=4), 0.15)
    forest = forest_of(*SHAPES["forest"])
    check(model, forest, method)
    numbers = trees(model, forest, method).numbers()
    assert (numbers["update/separate_trees"], numbers["update/packed_trees"]) == (3.0, 0.0)


@pytest.mark.parametrize("method", ["packed", "depth first, one strand at a time"])
def test_sixteen_bit_weights_agree_as_far_as_they_can(method: str) -> None:
    forest = forest_of(*SHAPES["full tree"])
    exact = separate_paths(draw_weights(small_model(), 0.15), forest).detach()
    rough = draw_weights(small_model(), 0.15).to(torch.bfloat16)
    plain = float((separate_paths(rough, forest).detach() - exact).abs().max())
    assert float((trees(rough, forest, method).log_prob().detach() - exact).abs().max()) < 2 * plain + 0.01
    (trees(rough, forest, method).log_prob() * slopes(forest)).sum().backward()
    assert all(bool(value.isfinite().all()) for value in gradients(rough).values())


@pytest.mark.parametrize("method", ["packed", "depth first"])
def test_the_embedded_model(method: str) -> None:
    policy = loading.load("embedded", decoding=Decoding())
    check(policy.model, forest_of(*SHAPES["ragged"], observed=1), method)


def test_push_adds_what_backward_adds() -> None:
    model, forest = draw_weights(small_model(), 0.15), forest_of(*SHAPES["forest"])
    trees(model, forest, "packed").log_prob().backward(slopes(forest))
    expected = gradients(model)
    for method in METHODS:
        trees(model, forest, method).push(slopes(forest))
        assert furthest(gradients(model), expected) < 1e-5, method


def test_one_row_at_a_time_adds_up_to_all() -> None:
    model, forest = draw_weights(small_model(), 0.15), forest_of(*SHAPES["ragged"])
    policy = CausalLM(model=model, tokenizer=loading.load("embedded", decoding=Decoding()).tokenizer)
    whole = policy.log_prob(forest, torch.arange(len(forest)))
    parts = [policy.log_prob(forest, torch.tensor([row])) for row in range(len(forest))]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-5, atol=1e-5)


class Graph:
    """Numbers that graphs hold for the way back, now and at most."""

    now, most = 0, 0

    def __init__(self, weights: Sequence[torch.Tensor]) -> None:
        self.weights = {value.untyped_storage().data_ptr() for value in weights}

    def hold(self, value: torch.Tensor) -> Held:
        return Held(self, value)


class Held:
    def __init__(self, graph: Graph, value: torch.Tensor) -> None:
        self.graph, self.value = graph, value
        self.size = 0 if value.untyped_storage().data_ptr() in graph.weights else value.numel()
        graph.now += self.size
        graph.most = max(graph.most, graph.now)

    def __del__(self) -> None:
        self.graph.now -= self.size


def test_depth_first_holds_the_graph_of_one_path() -> None:
    model, forest = draw_weights(small_model(), 0.15), forest_of(*SHAPES["full tree"])
    most: dict[str, int] = {}
    for method, largest in (("packed", 93), ("depth first", 9), ("depth first, one strand at a time", 3)):
        graph = Graph(list(model.parameters()))
        with torch.autograd.graph.saved_tensors_hooks(graph.hold, lambda held: held.value):
            asked = trees(model, forest, method)
            sizes = counted(model, lambda asked=asked: asked.push_targets(torch.ones(117)))
        assert max(sizes) == largest  # tokens of a pass; the last one of each of the 27 leaves is not needed
        assert graph.now == 0
        most[method] = graph.most
    assert most["depth first, one strand at a time"] < 0.2 * most["packed"]
    assert most["depth first, one strand at a time"] < most["depth first"] < 0.5 * most["packed"]


def counted(model, work) -> list[int]:
    """Tokens of every pass of a model."""
    sizes: list[int] = []
    handle = model.register_forward_pre_hook(
        lambda _, __, given: sizes.append(given["input_ids"].numel()), with_kwargs=True
    )
    work()
    handle.remove()
    return sizes


def test_every_unique_token_is_computed_once_and_the_last_of_a_path_not_at_all() -> None:
    model, forest = small_model(), forest_of(*SHAPES["fan"])
    sizes = counted(model, lambda: trees(model, forest, "packed").log_prob())
    leaves = 12
    assert sizes == [len(forest["tokens.id"]) - leaves]
    numbers = trees(model, forest, "packed").numbers()
    assert numbers["update/unique_tokens"] == float(sizes[0])
    nonempty = sum(1 for row in range(12) if row % 7)  # answers of one token need no pass of their own
    assert numbers["update/repeated_tokens"] == float(9 * nonempty + sizes[0] - 9)


def test_plan_packs_small_trees_together_and_sends_large_ones_down() -> None:
    forest = forest_of([-1, 0, -1, 2, -1, 4, -1, 6], [4, 3, 4, 3, 30, 9, 4, 3])
    layout = lay_out(forest, torch.arange(8))
    machine = Machine(room=13, token_cost=100.0, exact=True)
    found = plan(layout, machine, Automatic())
    assert [(len(work.roots), work.depth_first) for work in found] == [(2, False), (1, True), (1, False)]
    assert torch.cat([work.strands for work in found]).tolist() == [0, 1, 2, 3]


def test_a_root_of_the_policy_is_refused() -> None:
    tokens, roles = Ragged.of([[5, 6]], torch.int32), Ragged.of([[int(Role.POLICY)] * 2], torch.int8)
    with pytest.raises(ColumnError, match="Row 0 is a root"):
        trees(small_model(), Forest.of([-1], {"tokens.id": tokens, "tokens.role": roles}), "packed")


def test_prompts_alone_ask_for_nothing() -> None:
    model = small_model()
    assert shared_prefix.install(model)
    forest = forest_of([-1, -1], [3, 4])
    for method in METHODS:
        found = trees(model, forest, method).log_prob()
        assert found.tolist() == [0.0] * 7
