"""Language models by name: the embedded one, SmolLM2, or any folder that transformers can load. Nothing is fetched."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from milepost import keys, optional
from milepost.errors import FormatError, SettingError, UnknownName
from milepost.policies import smollm2
from milepost.policies.causal_lm import CausalLM
from milepost.policies.decoding import Decoding

EMBEDDED = Path(__file__).parent / "embedded"
"""Folder of the character model that ships with milepost: it answers small tasks of reasoning-gym in one turn."""

EMBEDDED_SEARCH = EMBEDDED.with_name("embedded_search")
"""Folder of the same model taught to search, in several turns."""

_SHIPPED = {"embedded": EMBEDDED, "embedded-search": EMBEDDED_SEARCH}


def load(name: str, *, decoding: Decoding, lora_rank: int = 0, key: int = 0, memory_bytes: int = 4 * 2**30) -> CausalLM:
    """Load a language model as a policy.

    Args:
        name: "embedded", "embedded-search", "smollm2", a folder with a model and its tokenizer, or the id of a model
            ("owner/name") that is in the local cache of the Hugging Face hub already.
        decoding: how it samples.
        lora_rank: rank of LoRA adapters on all linear layers; 0 trains all weights.
        key: where the adapters' initial values are drawn from.
        memory_bytes: see `CausalLM.memory_bytes`.

    Returns:
        The policy, in the type that the weights are stored in (the embedded models in float32).

    Raises:
        SettingError: a server, which cannot be trained.
        UnknownName: neither a known name, nor a folder, nor in the cache.
        FormatError: the folder cannot be loaded.
        MissingExtra: transformers, or what a named model needs, is not installed.
    """
    if name.startswith(("http://", "https://")):
        raise SettingError(
            f"{name!r} is a server: its weights cannot be trained from here. Name a model to load, or sample from the "
            "server with `policies.endpoint.Endpoint`."
        )
    if name in _SHIPPED:
        found = of_folder(_SHIPPED[name], decoding=decoding, dtype=torch.float32, lora_rank=lora_rank, key=key)
    else:
        folder = smollm2.folder() if name == "smollm2" else _folder(name)
        found = of_folder(folder, decoding=decoding, dtype="auto", lora_rank=lora_rank, key=key)
    return dataclasses.replace(found, memory_bytes=memory_bytes)


def _folder(name: str) -> Path:
    folder = Path(name)
    if folder.is_dir():
        return folder
    known = re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None
    hub = optional.load("huggingface_hub", extra="lm", purpose="A model of the hub") if known else None
    found = hub.try_to_load_from_cache(name, "config.json") if hub is not None else None
    if not isinstance(found, str):
        fetch = f" If it is on the hub, fetch it first: hf download {name}" if known else ""
        raise UnknownName(
            f"Unknown model {name!r}: expected 'embedded', 'embedded-search', 'smollm2', a folder with a model in it, "
            f"or the id of a model in the local cache.{fetch}"
        )
    return Path(found).parent


def of_folder(folder: Path, *, decoding: Decoding, dtype: Any, lora_rank: int = 0, key: int = 0) -> CausalLM:
    """Load a model and its tokenizer from a folder.

    Args:
        folder: as `save_pretrained` writes it, weights in safetensors.
        decoding: how it samples.
        dtype: type of the weights, or "auto" for the stored one.
        lora_rank: rank of LoRA adapters; 0 trains all weights.
        key: where the adapters' initial values are drawn from.

    Returns:
        The policy.

    Raises:
        FormatError: the folder does not hold a causal language model in safetensors and its tokenizer.
        MissingExtra: transformers, or peft where adapters are asked for, is not installed.
    """
    transformers = optional.load("transformers", extra="lm", purpose="A language model")
    try:
        with silent():
            tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
            model = transformers.AutoModelForCausalLM.from_pretrained(
                str(folder), dtype=dtype, local_files_only=True, use_safetensors=True
            )
    except (OSError, ValueError, KeyError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FormatError(
            f"{folder} cannot be loaded as a language model: {first} Expected what `save_pretrained` of transformers "
            "writes for a causal model and its tokenizer, with the weights in safetensors (files that hold pickled "
            "weights are refused)."
        ) from error
    if lora_rank:
        model = with_adapters(model, lora_rank, key)
    return CausalLM(model=model, tokenizer=tokenizer, decoding=decoding)


@contextmanager
def silent() -> Generator[None]:
    """Keep transformers from drawing progress bars over those of the run."""
    bars = optional.load("transformers.utils.logging", extra="lm", purpose="A language model")
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def with_adapters(model: Any, rank: int, key: int) -> Any:
    """Put LoRA adapters on all linear layers and freeze everything else.

    Args:
        model: a model of transformers.
        rank: rank of the adapters; their scale is 2 (alpha = 2 rank).
        key: where their initial values are drawn from; the global generator is left as it was.

    Returns:
        The PEFT model.
    """
    peft = optional.load("peft", extra="lm", purpose="policy.lora_rank")
    chosen = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]):
        # peft offers no generator: the global one is seeded inside the fork, which puts it back
        torch.manual_seed(keys.seed_of(keys.fold(key, "adapters")))  # noqa: TID251
        return peft.get_peft_model(model, chosen)
