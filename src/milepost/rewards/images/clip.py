"""Scorers of pictures by CLIP-like models of transformers: how well a picture fits its prompt, how it looks.

A preference model such as PickScore is a CLIP model that was trained on choices: `PromptMatch` with its weights. An
aesthetic score is a small head on the picture's embedding: `Headed`. Both are differentiable in the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from milepost import checks
from milepost.errors import SettingError, ShapeError

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of the colours in [0, 1] that CLIP models were trained on."""


def prepared(picture: Float[Tensor, "n 3 h w"], size: int) -> Float[Tensor, "n 3 s s"]:
    """Pictures as a CLIP model reads them: the middle square, resized with antialiasing, with normalised colours.

        ((x + 1) / 2 - MEAN) / STD   of each colour of the resized square

    Args:
        picture: colours in [-1, 1].
        size: pixels along a side of what the model reads.

    Returns:
        Differentiable in the picture.

    Raises:
        ShapeError: not pictures of three colours.

    Source: CLIP, arXiv:2103.00020, and the image processors of transformers, which round to 8 bits in between.
    """
    if picture.dim() != 4 or picture.shape[1] != 3:
        raise ShapeError(
            f"A CLIP model was given {tuple(picture.shape)}, expected (n, 3, height, width). Latents are decoded "
            "first: rewards.images.pictures.Decoded."
        )
    height, width = picture.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[:, :, top : top + side, left : left + side]
    if side != size:
        square = nn.functional.interpolate(square, size=(size, size), mode="bicubic", antialias=True)
    mean, std = (square.new_tensor(one)[:, None, None] for one in (MEAN, STD))
    return ((square.clamp(-1, 1) + 1) / 2 - mean) / std


def embedded(model: Any, picture: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
    """Embeddings of pictures, of length 1.

    Args:
        model: a CLIP-like model of transformers.
        picture: colours in [-1, 1].

    Returns:
        float32, on the picture's device.
    """
    read = prepared(picture, int(model.config.vision_config.image_size)).to(model.device, model.dtype)
    found = model.get_image_features(pixel_values=read).pooler_output
    return nn.functional.normalize(found.float(), dim=1).to(picture.device)


@dataclass(frozen=True, kw_only=True, eq=False)
class PromptMatch:
    """Cosine of a picture and its prompt, times a scale. Implements `scorers.Scorer`; made by `prompt_match`.

    Source: CLIPScore, arXiv:2104.08718; as a preference PickScore, arXiv:2305.01569, eq. 1.
    """

    model: Any
    text: Float[Tensor, "p d"]
    """Embeddings of the prompts, of length 1."""
    scale: float = 1.0
    differentiable = True

    def __post_init__(self) -> None:
        """Check the scale."""
        checks.positive("scale", self.scale)

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest score."""
        return -self.scale, self.scale

    def __call__(self, image: Tensor, label: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """One score per picture and number of its prompt."""
        if len(label) and int(label.max()) >= len(self.text):
            raise SettingError(
                f"Prompt {int(label.max())} was asked for, but the scorer knows {len(self.text)}: give it the prompts "
                "of the environment, held-out ones included (`Prompts.every`)."
            )
        cosine = (embedded(self.model, image) * self.text.to(image.device)[label]).sum(1)
        return (self.scale * cosine).clamp(-self.scale, self.scale)


@dataclass(frozen=True, kw_only=True, eq=False)
class Picked:
    """1 where a picture fits its own prompt better than every other prompt that is known. A `scorers.Scorer`.

    Source: R-precision with CLIP, arXiv:2104.14806; here over the prompts of the run.   Limits: 1 with a lone prompt.
    """

    match: PromptMatch
    range = (0.0, 1.0)
    differentiable = False

    def __call__(self, image: Tensor, label: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """One score per picture."""
        every = embedded(self.match.model, image) @ self.match.text.to(image).T
        return (every.argmax(1) == label).float()


@torch.no_grad()
def prompt_match(model: Any, tokenizer: Any, prompts: Sequence[str], *, scale: float = 1.0) -> PromptMatch:
    """Make a scorer of how well pictures fit their prompts.

    Args:
        model: a CLIP-like model of transformers, such as `CLIPModel.from_pretrained("<folder>")`.
        tokenizer: its tokenizer, `AutoTokenizer.from_pretrained("<folder>")`.
        prompts: in the order of the environment's numbers.
        scale: 1 gives cosines; PickScore has 100.

    Returns:
        The scorer; the model gets no gradient from it.
    """
    checks.not_empty("prompts", prompts)
    model.requires_grad_(False).eval()
    length = int(model.config.text_config.max_position_embeddings)
    read = tokenizer(list(prompts), padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    text = model.get_text_features(**{name: value.to(model.device) for name, value in read.items()}).pooler_output
    return PromptMatch(model=model, text=nn.functional.normalize(text.float(), dim=1).cpu(), scale=scale)


@dataclass(frozen=True, kw_only=True, eq=False)
class Headed:
    """A head on the embedding of a picture, such as a predictor of what people find beautiful. A `scorers.Scorer`.

    Source: the aesthetic predictors of LAION-5B, arXiv:2210.08402, section 3: a linear model on CLIP embeddings.
    """

    model: Any
    """A CLIP-like model of transformers."""
    head: Callable[[Tensor], Tensor]
    """From embeddings of length 1, (n, d), to one score each, (n,) or (n, 1)."""
    low: float = 0.0
    high: float = 10.0
    """Scores are cut to this range."""
    differentiable = True

    def __post_init__(self) -> None:
        """Check the range."""
        if not self.low < self.high:
            raise SettingError(f"low={self.low} and high={self.high} leave no range: choose low below high.")

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest score."""
        return self.low, self.high

    def __call__(self, image: Tensor, label: Tensor) -> Float[Tensor, " n"]:  # noqa: ARG002 - the scorer protocol
        """One score per picture, whatever was asked for."""
        return self.head(embedded(self.model, image)).reshape(len(image)).clamp(self.low, self.high)
