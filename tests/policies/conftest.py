"""A small random language model and forests for it: every test of the policies runs in well under a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from milepost import keys
from milepost.forest import Forest
from milepost.part import Observation
from milepost.policies.causal_lm import CausalLM
from milepost.policies.decoding import Decoding
from milepost.policies.loading import EMBEDDED

KEY = keys.root(11)

SHAPE: dict[str, Any] = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def draw_weights(model: Any, scale: float = 0.3) -> Any:
    """Give every matrix weights from a key, large enough that the answers depend on the prompt."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.dim() > 1:
                noise = torch.from_numpy(keys.normal([keys.fold(KEY, name)], tuple(value.shape))[0])
                value.copy_(noise * scale)
    return model.eval()


def small_model(kind: str = "Llama", **settings: Any) -> Any:
    """A random model of one of transformers' families."""
    config = getattr(transformers, f"{kind}Config")(**{**SHAPE, **settings})
    return draw_weights(getattr(transformers, f"{kind}ForCausalLM")(config))


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """The character tokenizer that ships with milepost."""
    return transformers.AutoTokenizer.from_pretrained(str(EMBEDDED), local_files_only=True)


TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


@pytest.fixture
def chat() -> Any:
    """A byte tokenizer with a chat template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({piece: number for number, piece in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken("<|start|>", special=True), AddedToken("<|end|>", special=True)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<|start|>", eos_token="<|end|>", chat_template=TEMPLATE
    )


@pytest.fixture
def model() -> Any:
    """A small Llama with grouped queries."""
    return small_model()


@pytest.fixture
def policy(model: Any, tokenizer: Any) -> CausalLM:
    """A policy that writes up to 12 tokens."""
    return CausalLM(model=model, tokenizer=tokenizer, decoding=Decoding(max_tokens=12))


@pytest.fixture
def asked() -> Callable[[CausalLM, Sequence[str]], Forest]:
    """Makes a forest of prompts."""

    def ask(policy: CausalLM, texts: Sequence[str]) -> Forest:
        seen = policy.encode([Observation(text=text) for text in texts], start=True)
        return Forest.of([-1] * len(texts), seen)

    return ask


@pytest.fixture
def answered() -> Callable[[CausalLM, Forest, Tensor, int], Forest]:
    """Adds one answer per given row, with keys that depend on the row and its number among its siblings."""

    def answer(policy: CausalLM, forest: Forest, rows: Tensor, seed: int = 0) -> Forest:
        proposals = policy.propose(forest, rows, row_keys(rows, seed))
        return forest.append(proposals.parent, proposals.columns)

    return answer


def row_keys(rows: Tensor, seed: int = 0) -> Tensor:
    """One key per row, a function of (seed, row, number among equal rows)."""
    seen: dict[int, int] = {}
    found = []
    for row in rows.tolist():
        seen[row] = seen.get(row, -1) + 1
        found.append(keys.fold(KEY, seed, row, seen[row]))
    return torch.tensor(found)
