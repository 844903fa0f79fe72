"""Pipelines of diffusers from a folder on this machine. Nothing is fetched, and no pickled weights are read."""

from __future__ import annotations

import json
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from milepost import keys, optional
from milepost.errors import FormatError

CLASSES = ("StableDiffusion3Pipeline", "FluxPipeline")
"""Pipelines that can be loaded."""
ADAPTED = ("to_q", "to_k", "to_v", "to_out.0")
"""Layers of the attention that adapters are put on, in both architectures."""
_EXPECTED = f"expected what save_pretrained of a {' or a '.join(CLASSES)} writes"


def load(folder: Path, *, lora_rank: int = 0, key: int = 0) -> Any:
    """Load a pipeline, on the GPU where there is one.

    With adapters everything else is frozen, and on a GPU in bfloat16; without, all weights of the transformer are
    trained in float32.

    Args:
        folder: as `save_pretrained` writes it, weights in safetensors.
        lora_rank: rank of the adapters on the attention of the transformer, their scale is 2; 0: none.
        key: where the adapters' initial values are drawn from.

    Returns:
        The pipeline.

    Raises:
        FormatError: the folder holds something else, or cannot be loaded.
        MissingExtra: diffusers, transformers or peft is not installed.
    """
    name = kind(folder)
    diffusers = optional.load("diffusers", extra="diffusers", purpose="A pipeline")
    transformers = optional.load("transformers", extra="lm", purpose="A pipeline's text encoders")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" and lora_rank else torch.float32
    try:
        with _quiet(diffusers, transformers):
            pipe = getattr(diffusers, name).from_pretrained(
                str(folder), local_files_only=True, use_safetensors=True, torch_dtype=dtype
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FormatError(f"{folder} cannot be loaded as a {name}: {first} {_EXPECTED.capitalize()}.") from error
    pipe = pipe.to(device)
    return with_adapters(pipe, lora_rank, key) if lora_rank else pipe


@contextmanager
def _quiet(*packages: Any) -> Generator[None]:
    """Keep both packages from drawing progress bars, and from telling what else could be installed."""
    logs = [package.utils.logging for package in packages]
    before = [one.get_verbosity() for one in logs]
    shown = [one.is_progress_bar_enabled() for one in logs]
    for one in logs:
        one.set_verbosity_error()
        one.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # older releases know the name torch_dtype alone
            yield
    finally:
        for one, verbosity, bar in zip(logs, before, shown, strict=True):
            one.set_verbosity(verbosity)
            if bar:
                one.enable_progress_bar()


def kind(folder: Path) -> str:
    """Class of the pipeline in a folder, read without loading anything.

    Args:
        folder: a folder.

    Returns:
        One of `CLASSES`.

    Raises:
        FormatError: there is no such folder, it holds something else, or a pipeline of another class.
    """
    if not folder.is_dir():
        raise FormatError(f"{folder} is no folder; {_EXPECTED}. Nothing is fetched: download a model first.")
    index = folder / "model_index.json"
    if not index.is_file():
        found = ", ".join(sorted(one.name for one in folder.iterdir())[:5]) or "nothing"
        part = " It may be one part of a pipeline: name the folder above." if (folder / "config.json").is_file() else ""
        raise FormatError(f"{folder} has no model_index.json (it holds {found}); {_EXPECTED}.{part}")
    name = ""
    with suppress(ValueError, AttributeError, OSError):
        name = str(json.loads(index.read_text(encoding="utf-8")).get("_class_name", ""))
    if name not in CLASSES:
        raise FormatError(f"{folder} holds a {name or 'damaged index'}; {_EXPECTED}.")
    return name


def with_adapters(pipe: Any, rank: int, key: int) -> Any:
    """Put LoRA adapters on the attention of a pipeline's transformer, in float32, and freeze everything else.

    Args:
        pipe: the pipeline.
        rank: of the adapters.
        key: where their initial values are drawn from; the global generator is left as it was.

    Returns:
        The pipeline.
    """
    peft = optional.load("peft", extra="lm", purpose="policy.lora_rank")
    chosen = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(ADAPTED))
    pipe.transformer.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        # peft offers no generator: the global one is seeded inside the fork, which puts it back
        torch.manual_seed(keys.seed_of(keys.fold(key, "adapters")))  # noqa: TID251
        pipe.transformer.add_adapter(chosen)
    for weight in pipe.transformer.parameters():
        weight.data = weight.data.float() if weight.requires_grad else weight.data
    return pipe
