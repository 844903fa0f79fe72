"""The formats by name: which file is which, how each is read, and which can be written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from milepost.bridges.lines import RECORD_BYTES, Record, conversations, records
from milepost.errors import FormatError, unknown_name
from milepost.optional import load
from milepost.traces.record import Fault, Trace

FORMATS = {
    "chat": ("chat", "chat completions, one conversation a line"),
    "anthropic": ("anthropic", "messages with content blocks, one conversation a line"),
    "otel": ("telemetry.spans", "OpenTelemetry spans of generative models, JSON lines of OTLP or of the SDK's console"),
    "inspect": ("inspect_logs", "logs of inspect, .eval or .json"),
    "verifiers": ("verifiers", "traces of verifiers, JSON lines"),
    "tau2": ("tau2", "result files of tau2"),
    "trl": ("trl", "rows of TRL's data sets, JSON lines"),
    "verl": ("verl", "dumped rollouts of verl, JSON lines, or its Parquet files of prompts"),
}
"""Name to the module of this folder that holds it and one line of help. Minari's episodes are read by `minari`."""

BY_LINE = ("anthropic", "chat", "trl", "verl")
"""Formats of which each line is a conversation of its own."""

WRITABLE = ("anthropic", "chat", "trl", "verifiers", "verl")
"""Formats that can be written, as JSON lines."""


def read(path: Path, name: str = "", *, limit: int = RECORD_BYTES) -> Iterator[Trace | Fault]:
    """Read the traces of a file.

    Args:
        path: the file.
        name: its format; "" looks at the file.
        limit: longest record in bytes.

    Returns:
        Each trace, or what is wrong with a record.

    Raises:
        FormatError: the format cannot be recognised.
        UnknownName: there is no such format.
        OSError: the file cannot be opened.
    """
    chosen = name or detect(path)
    if chosen not in FORMATS:
        raise unknown_name("format", chosen, FORMATS)
    if is_by_line(chosen, path):
        return conversations(path, module(chosen).of_value, limit=limit)
    return module(chosen).read(path, limit=limit)


def is_by_line(name: str, path: Path) -> bool:
    """Whether each line of a file is a conversation of its own, so that it can be cut between any two.

    Args:
        name: its format.
        path: the file.

    Returns:
        False for what has to be read as a whole.
    """
    return name in BY_LINE and path.suffix != ".parquet"


def module(name: str) -> Any:
    """The module that reads a format: by `of_value` those of single lines, the others by `read`."""
    return import_module(f"milepost.bridges.{FORMATS[name][0]}")


def detect(path: Path) -> str:
    """Recognise the format of a file by its ending and its first record that can be read.

    Args:
        path: the file.

    Returns:
        Name of the format.

    Raises:
        FormatError: it is none of them; the message names the option to give.
        OSError: the file cannot be opened.
    """
    if path.suffix in (".eval", ".parquet"):
        return "inspect" if path.suffix == ".eval" else "verl"
    if path.suffix == ".json":
        head = _head(path)
        for key, name in ((b'"simulations"', "tau2"), (b'"samples"', "inspect"), (b'"eval"', "inspect")):
            if key in head:
                return name
    reason = "it has no record"
    for record in records(path):
        if isinstance(record, Record):
            return _recognise(record.value, path)
        reason = record.reason
    raise FormatError(f"{path}: its format cannot be recognised, because {reason}. Name it: {', '.join(FORMATS)}.")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1 << 16)


def _recognise(value: object, path: Path) -> str:
    if isinstance(value, list):
        return "chat"
    record = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    for name, keys in (
        ("otel", ("resourceSpans", "traceId", "context")),
        ("verifiers", ("nodes", "traces")),
        ("tau2", ("simulations",)),
        ("inspect", ("samples",)),
    ):
        if any(key in record for key in keys):
            return name
    if "prompt" in record or "chosen" in record:
        return "verl" if "data_source" in record and "reward_model" in record else "trl"
    if "input" in record and "output" in record:
        return "verl"
    if "system" in record or _has_blocks(record.get("messages")):
        return "anthropic"
    if "messages" in record or "request" in record:
        return "chat"
    known = ", ".join(list(record)[:6]) or "none"
    raise FormatError(
        f"{path}: its format cannot be recognised by the fields {known[:120]}. Name it: {', '.join(FORMATS)}."
    )


def _has_blocks(messages: object) -> bool:
    """Whether messages hold blocks that only one of the two shapes knows."""
    if not isinstance(messages, list):
        return False
    for message in cast("list[Any]", messages):
        content = cast("dict[str, Any]", message).get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            kinds = {
                cast("dict[str, Any]", one).get("type") for one in cast("list[Any]", content) if isinstance(one, dict)
            }
            if kinds & {"tool_use", "tool_result", "thinking"}:
                return True
    return False


def write(traces: Iterable[Trace], path: Path, name: str) -> int:
    """Write traces as JSON lines.

    Args:
        traces: conversations, written one by one.
        path: the file; it must not exist.
        name: the format.

    Returns:
        Number of lines.

    Raises:
        UnknownName: the format does not exist or cannot be written.
        FormatError: a conversation branches, and the format knows no branches.
        OSError: the file exists or cannot be written.
    """
    if name not in WRITABLE:
        raise unknown_name("format to write", name, WRITABLE)
    value_of = module(name).value_of
    dumps = load("orjson", extra="traces", purpose="Writing traces").dumps
    written = 0
    with path.open("xb") as file:
        for trace in traces:
            if trace.parents is not None and name not in ("verifiers", "trl"):
                raise FormatError(
                    f"Trace {trace.id!r} branches, which {name!r} cannot say: write verifiers, or select one path."
                )
            file.write(dumps(value_of(trace)) + b"\n")
            written += 1
    return written
