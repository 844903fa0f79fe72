"""Child process that compares mathematical answers; run as a file, it imports nothing of milepost.

A comparison can take for ever or all memory inside one call of C code, where no thread and no signal can stop it:
only a process of its own can be ended. Reads one JSON object per line, {"gold": ..., "answer": ...}, and writes one per
line, {"equal": bool} or {"error": ...}; the first line written is {"ready": true}.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
from typing import Any

MEMORY_BYTES = 2 << 30
"""Address space of the child; beyond it a comparison fails with MemoryError."""


def expressions(parse: Any, text: str) -> Any:
    """Return what math-verify reads in a text: as LaTeX first, else as a plain expression; empty if nothing."""
    for form in (f"${text}$", text):
        found = parse(form, parsing_timeout=None, fallback_mode="no_fallback")
        if found:
            return found
    return []


def compare(parse: Any, verify: Any, gold: str, answer: str) -> dict[str, Any]:
    """Compare an answer with the reference by value.

    Args:
        parse: math-verify's `parse`.
        verify: math-verify's `verify`.
        gold: the reference.
        answer: what was given; without an expression that can be read it is not equal.

    Returns:
        {"equal": bool}, or {"error": ...} where the reference holds no expression.
    """
    wanted = expressions(parse, gold)
    if not wanted:
        return {"error": f"the reference {gold[:80]!r} holds no mathematical expression"}
    given = expressions(parse, answer)
    return {"equal": bool(given) and bool(verify(wanted, given, timeout_seconds=None, raise_on_error=True))}


def serve() -> None:
    """Answer requests until the input ends."""
    logging.disable(logging.WARNING)
    from math_verify import parse, verify

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = compare(parse, verify, request["gold"], request["answer"])
        except Exception as error:  # noqa: BLE001 - whatever the library raises is an answer here, not a crash
            reply = {"error": f"{type(error).__name__}: {error}"[:200]}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
