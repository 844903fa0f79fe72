"""OpenTelemetry spans of generative models, as JSON lines: OTLP's requests, or single spans of the SDK's console.

Messages are read from `gen_ai.input.messages` and `gen_ai.output.messages` (text or structured), or from the numbered
attributes `gen_ai.prompt.N.*` and `gen_ai.completion.N.*` that instrumentations wrote before. Spans of one trace id are
one conversation: that of the span that saw the most messages, the last one of these. A trace is complete when its root
span has come, which tracers send last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from milepost.bridges import fields
from milepost.bridges.lines import RECORD_BYTES, records
from milepost.bridges.telemetry.attributes import attributes_of, messages_of
from milepost.columns import End
from milepost.traces.record import Fault, Message, Trace, wrong_with

_OPEN_TRACES = 4096
"""Traces that wait for their root span; beyond that the oldest is taken as complete."""
_ENDS = {"length": End.TOKEN_LIMIT, "content_filter": End.VOID, "error": End.ERROR}


@dataclass(slots=True)
class _Gathered:
    """What is known of a trace so far: the longest conversation, and where it was seen first."""

    line: int
    messages: list[Message] = field(default_factory=list[Message])
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    spans: int = 0
    end: End = End.TERMINATED


def read(path: Path, *, limit: int = RECORD_BYTES) -> Iterator[Trace | Fault]:
    """Read the conversations of a file of spans.

    Args:
        path: the file.
        limit: longest line in bytes.

    Yields:
        Each trace that holds a conversation, when it is complete; traces without one are left out. What is wrong with a
        line, otherwise.

    Raises:
        OSError: the file cannot be opened.
    """
    waiting: dict[str, _Gathered] = {}
    parse_fault = _Faults(path.name)
    for record in records(path, limit=limit):
        if isinstance(record, Fault):
            yield record
            continue
        spans = _spans(record.value)
        if spans is None:
            yield parse_fault(record.line, "no span: neither resourceSpans nor a context with a trace_id")
            continue
        for span in spans:
            name, is_root = _identity(span)
            if not name:
                yield parse_fault(record.line, "a span has no trace id")
                continue
            found = waiting.setdefault(name, _Gathered(record.line))
            wrong = _gather(found, span)
            if wrong:
                yield parse_fault(record.line, wrong)
            if is_root:
                yield from _complete(name, waiting.pop(name))
        while len(waiting) > _OPEN_TRACES:
            oldest = next(iter(waiting))
            yield from _complete(oldest, waiting.pop(oldest))
    for name, found in waiting.items():
        yield from _complete(name, found)


@dataclass(frozen=True, slots=True)
class _Faults:
    file: str

    def __call__(self, line: int, reason: str) -> Fault:
        return Fault(file=self.file, line=line, reason=reason)


def _spans(value: object) -> list[Mapping[str, Any]] | None:
    if not isinstance(value, dict):
        return None
    record = cast("dict[str, Any]", value)
    if "resourceSpans" not in record:
        return [record] if "traceId" in record or isinstance(record.get("context"), dict) else None
    spans: list[Mapping[str, Any]] = []
    try:
        for resource in record["resourceSpans"]:
            for scope in resource.get("scopeSpans", ()):
                spans += [span for span in scope.get("spans", ()) if isinstance(span, dict)]
    except (TypeError, AttributeError):
        return None
    return spans


def _identity(span: Mapping[str, Any]) -> tuple[str, bool]:
    """Trace id of a span, and whether it is the root."""
    context = span.get("context")
    inner = cast("dict[str, Any]", context) if isinstance(context, dict) else {}
    name = fields.text(span, "traceId", "trace_id") or fields.text(inner, "trace_id")
    return name, not (span.get("parentSpanId") or span.get("parent_id"))


def _gather(found: _Gathered, span: Mapping[str, Any]) -> str:
    """Take a span in; why it cannot be read, if so."""
    found.spans += 1
    try:
        attributes = attributes_of(span.get("attributes"))
        messages = messages_of(attributes)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return f"a span's attributes cannot be read: {type(error).__name__}: {error}"
    if not messages:
        return ""
    wrong = wrong_with(messages)
    if wrong:
        return f"a span's messages: {wrong}"
    if len(messages) >= len(found.messages):
        reasons = attributes.get("gen_ai.response.finish_reasons")
        last = str(cast("list[Any]", reasons)[-1]) if isinstance(reasons, list) and reasons else ""
        found.messages, found.end = messages, _ENDS.get(last, End.TERMINATED)
        found.attributes = {n: v for n, v in attributes.items() if not n.startswith(_HELD)}
    return ""


_HELD = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.prompt.",
    "gen_ai.completion.",
)


def _complete(name: str, found: _Gathered) -> Iterator[Trace]:
    if found.messages:
        rest = {"attributes": dict(found.attributes), "spans": found.spans, "line": found.line}
        task = fields.text(found.attributes, "gen_ai.conversation.id")
        yield Trace(id=name, messages=found.messages, task=task, end=found.end, rest=rest)
