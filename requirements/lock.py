"""Write a lock file: python requirements/lock.py dev|demo|bench [--upgrade]

Installs the set into a fresh environment in a temporary folder and writes what is there, with exact versions. Without
--upgrade the versions of the present lock file are kept where they still fit. Run `dev` before `demo`: the demo's
versions are taken from dev.txt, so that installing one after the other changes nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
TORCH = "torch==2.13.0"
BENCH = (
    "bm25s", "cachetools", "fastapi", "gguf", "hypothesis", "loguru", "numba", "ompl==2.0.1",
    "pytest", "pytest-timeout",
    "tensordict==0.10.0", "TransferQueue==0.1.11", "transformers==5.10.4",
    "trl==1.16.0", "uvicorn", "verl==0.9.1",
)  # fmt: skip
SETS = {"dev": (".[dev]",), "demo": (".[lm,report]",), "bench": (".", *BENCH)}
HEADERS = {
    "dev": "What `make test`, `make check`, `make docs` and `make evidence` need; holds every line of demo.txt.",
    "demo": "What `make demo` needs.",
    "bench": "What `make bench` compares with, and trainers that milepost runs inside: they need older transformers.",
}
NOT_LOCKED = ("milepost", "pip", "wheel")


def install(python: Path, arguments: list[str]) -> None:
    """Run pip install in the environment of `python`."""
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *arguments], check=True, cwd=FOLDER.parent)


def frozen(python: Path) -> list[str]:
    """Return the installed packages as sorted `name==version` lines, without local version labels."""
    command = [str(python), "-m", "pip", "list", "--format=freeze"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    lines = [line.split("+")[0] for line in listed if line.split("==")[0].lower() not in NOT_LOCKED]
    cuda = [line for line in lines if line.startswith(("nvidia-", "cuda-", "triton"))]
    if cuda:
        sys.exit(f"The torch build here pulls CUDA packages ({', '.join(cuda[:3])} ...): lock with the CPU build.")
    return sorted(lines, key=str.lower)


def main() -> None:
    """Parse the command line and write one lock file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(SETS))
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    options = parser.parse_args()
    target = FOLDER / f"{options.name}.txt"
    constraint = FOLDER / "dev.txt" if options.name == "demo" else target
    kept = constraint.exists() and not (options.upgrade and constraint == target)
    keep = ["--constraint", str(constraint)] if kept else []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin" / "python"
        install(python, [TORCH])
        install(python, [TORCH, "setuptools>=77", *keep, *SETS[options.name]])
        lines = frozen(python)
    header = (
        f"# {HEADERS[options.name]}\n"
        f"# Written by requirements/lock.py. {TORCH} is installed first: see docs/design/dependencies.md.\n"
    )
    target.write_text(header + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
