"""All speed benchmarks, each side by side with its peers in one process, as one table with ratios.

    python -m benchmarks [credit] [storage] [sampling] [--json]

A ratio above 1 means that milepost is faster (or smaller). A peer that is not installed is named and left out.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

NAMES = ("credit", "storage", "sampling", "training")


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as aligned text.

    Args:
        rows: with `name`, `ours`, `peer`, `unit`, `ratio`.

    Returns:
        One line per row below a head.
    """

    def shown(value: object) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    columns = ("name", "ours", "peer", "unit", "ratio")
    lines = [columns, *(tuple(shown(row.get(column, "")) for column in columns) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def main(arguments: Sequence[str]) -> None:
    """Run the benchmarks that are named, or all."""
    chosen = [name for name in arguments if not name.startswith("-")] or list(NAMES)
    rows: list[Mapping[str, Any]] = []
    for name in chosen:
        if name not in NAMES:
            sys.exit(f"Unknown benchmark {name!r}. Known: {', '.join(NAMES)}.")
        sys.stderr.write(f"benchmark {name} ...\n")
        rows.extend(importlib.import_module(f"benchmarks.{name}").run())
    sys.stdout.write((json.dumps(rows, indent=1) if "--json" in arguments else table(rows)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
