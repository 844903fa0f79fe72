"""Rows of verl: dumped rollouts as JSON lines ({"input", "output", "score", "gts", "step"}), and the Parquet files that
it trains on ({"data_source", "prompt", "reward_model", "extra_info"}).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from milepost.bridges import fields
from milepost.bridges.lines import RECORD_BYTES, conversations
from milepost.columns import End
from milepost.traces.record import Fault, Trace, text_of, wrong_with

_ROWS_AT_ONCE = 256


def read(path: Path, *, limit: int = RECORD_BYTES) -> Iterator[Trace | Fault]:
    """Read dumped rollouts, or the prompts of a Parquet file; a prompt is a trace that is still open.

    Args:
        path: the file; one that ends in ".parquet" is read batch by batch.
        limit: longest line in bytes.

    Returns:
        Each row, or what is wrong with it.

    Raises:
        OSError: the file cannot be opened.
    """
    return _prompts(path) if path.suffix == ".parquet" else conversations(path, of_value, limit=limit)


def _prompts(path: Path) -> Iterator[Trace | Fault]:
    line = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    line += 1
                    yield of_value(row, path.name, line)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        yield Fault(file=path.name, line=line, reason=f"not Parquet, or damaged: {error}")


def of_value(value: object, file: str, line: int) -> Trace | Fault:
    """One trace from a row.

    Args:
        value: the row.
        file: name of the file, for faults.
        line: number of the line, which is the id of a row that has none.

    Returns:
        The trace, or what is wrong with the row.
    """
    if not isinstance(value, dict):
        return Fault(file=file, line=line, reason="the row is no object")
    row = dict(cast("dict[str, Any]", value))
    if "input" in row and "output" in row:
        asked, answered = row.pop("input"), row.pop("output")
        if not isinstance(asked, str) or not isinstance(answered, str):
            return Fault(file=file, line=line, reason="input and output are no texts")
        messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        rewards = {"outcome": fields.number(row["score"])} if "score" in row else {}
        return Trace(id=str(line), messages=messages, rewards=rewards, rest=row)
    if "prompt" not in row:
        return Fault(file=file, line=line, reason=f"no input and output, no prompt; the fields: {fields.named(row)}")
    messages = row.pop("prompt")
    wrong = wrong_with(messages)
    if wrong:
        return Fault(file=file, line=line, reason=f"prompt: {wrong}")
    extra = row.get("extra_info")
    number = fields.text(cast("dict[str, Any]", extra), "index") if isinstance(extra, dict) else ""
    task = f"{fields.text(row, 'data_source')}:{number}" if number else ""
    return Trace(id=str(line), messages=messages, task=task, end=End.OPEN, rest=row)


def value_of(trace: Trace) -> object:
    """The row of a trace as a JSON value.

    Args:
        trace: one that `read` made, or any conversation: its last answer is the output, what stands before is input.

    Returns:
        A dumped rollout, or a prompt row where the trace is open.
    """
    if trace.end is End.OPEN:
        return {**dict(trace.rest), "prompt": [dict(one) for one in trace.messages]}
    row: dict[str, Any] = dict(trace.rest)
    if "score" not in row and "outcome" in trace.rewards:
        row["score"] = trace.rewards["outcome"]
    *before, last = [text_of(message.get("content")) for message in trace.messages]
    return {**row, "input": "\n".join(before), "output": last}
