"""How a tree is trained: packed into one pass, or depth first. Chosen from its shape, the attention and the memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from milepost.policies.tree.layout import Layout


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a choice has to know of the model and the memory."""

    room: int
    """Tokens whose graph fits in memory together."""
    token_cost: float
    """Work of a token outside attention, in scores: pairs of a query and a key."""
    exact: bool
    """Whether attention computes only the pairs that see each other, as on the processor, or all pairs of a pass."""

    @staticmethod
    def of(model: Any, memory_bytes: int) -> Machine:
        """Read a model's sizes.

            token_cost = parameters / (layers * heads * head size * 2)

        Args:
            model: a causal language model of transformers.
            memory_bytes: memory that the graph of a pass may take.

        Returns:
            The record; `room` is at least 256 and at most 32,768 tokens.
        """
        config = model.config
        parameters = sum(value.numel() for value in model.parameters())
        width = config.num_attention_heads * head_size(config)
        return Machine(
            room=max(256, min(32_768, memory_bytes // bytes_per_token(model))),
            token_cost=parameters / (2 * config.num_hidden_layers * width),
            exact=next(iter(model.parameters())).device.type == "cpu",
        )


def head_size(config: Any) -> int:
    """Numbers of one attention head."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def bytes_per_token(model: Any) -> int:
    """Memory that the graph of one token takes: activations of every layer, and three copies of its logits.

        layers * (8 hidden + 4 inner + 4 key-value width) * size of a number + 12 vocabulary

    Args:
        model: a causal language model of transformers.

    Returns:
        Bytes, an estimate.
    """
    config = model.config
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    layer = 8 * config.hidden_size + 4 * inner + 4 * heads * head_size(config)
    size = next(iter(model.parameters())).element_size()
    return config.num_hidden_layers * layer * size + 12 * config.vocab_size


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What matters of one tree."""

    tokens: int
    """Unique tokens."""
    scores: int
    """Pairs of tokens that see each other."""


def shape_of(layout: Layout, first: int, last: int) -> Shape:
    """Shape of the tree whose tokens stand in [first, last) of a layout.

    Args:
        layout: trees in one sequence.
        first: place of its first token.
        last: place behind its last.

    Returns:
        The shape.
    """
    return Shape(tokens=last - first, scores=int((layout.position[first:last] + 1).sum()))


class TreeTraining(Protocol):
    """Decides how trees are trained."""

    def depth_first(self, shape: Shape, machine: Machine) -> bool:
        """Whether a tree is trained depth first; else it is packed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Packed:
    """Every tree in one pass, whatever its size.

    Example:
        >>> machine = Machine(room=256, token_cost=100.0, exact=True)
        >>> Packed().depth_first(Shape(tokens=100_000, scores=10**9), machine)
        False
    """

    def depth_first(self, shape: Shape, machine: Machine) -> bool:  # noqa: ARG002 - the protocol
        """Never."""
        return False


@dataclass(frozen=True, kw_only=True)
class DepthFirst:
    """Every tree node by node, with the memory of one path, and one pass more than packed.

    Example:
        >>> machine = Machine(room=256, token_cost=100.0, exact=True)
        >>> DepthFirst().depth_first(Shape(tokens=10, scores=55), machine)
        True
    """

    def depth_first(self, shape: Shape, machine: Machine) -> bool:  # noqa: ARG002 - the protocol
        """Always."""
        return True


@dataclass(frozen=True, kw_only=True)
class Automatic:
    """Packed where the tree fits in memory and packing is not slower; else depth first.

        packed costs 3 (tokens * token_cost + scores or, under a mask, tokens^2);  depth first 4 (... + scores)

    A pass back costs two passes; depth first runs each block once more, to know the slopes before it begins.

    Example:
        >>> machine = Machine(room=256, token_cost=100.0, exact=True)
        >>> [Automatic().depth_first(Shape(tokens=n, scores=n * n // 2), machine) for n in (256, 257)]
        [False, True]
    """

    def depth_first(self, shape: Shape, machine: Machine) -> bool:
        """Whether memory or time asks for it."""
        pairs = shape.scores if machine.exact else shape.tokens**2
        linear = shape.tokens * machine.token_cost
        return shape.tokens > machine.room or 3 * (linear + pairs) > 4 * (linear + shape.scores)
