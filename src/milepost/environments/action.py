"""The grammar of an action in text: any thought, then exactly one `<name>content</name>`, and nothing behind it.

Only the text of one step is ever read, which is what the policy wrote there. What the environment showed is never
parsed, so text inside a document cannot act.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

Fault = Literal["", "no_action", "unclosed", "nested", "stray", "mismatched", "two_actions", "trailing", "empty"]
"""What is wrong with an action; "" when nothing is."""

MALFORMED = "malformed"
"""Kind of what cannot be read."""


@dataclass(frozen=True, kw_only=True)
class ParsedAction:
    """One step of the policy taken apart."""

    kind: str
    """Name of the tag, or "malformed"."""
    content: str = ""
    """What stands between the tags, without white space around it."""
    thought: str = ""
    """What stands before the action; the whole text of a malformed one."""
    fault: Fault = ""


@cache
def _tags(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"<(/?)({'|'.join(map(re.escape, names))})>")


def parse(text: str, names: Sequence[str]) -> ParsedAction:
    """Read the action of one step.

        [thought] "<name>" content "</name>"

    Args:
        text: what the policy wrote in this step, and nothing else.
        names: the tags that exist.

    Returns:
        The action. A malformed one has the first of these faults: "no_action", no tag at all; "stray", a closing tag
        first; "unclosed", the text ends inside; "nested", a tag opens inside another; "mismatched", another tag closes;
        "two_actions", a second tag after the first pair; "trailing", other text after it; "empty", nothing inside.
        Tags are case sensitive.

    Example:
        >>> parse("It is dark. <act>open door</act>", ("act",)).content
        'open door'
        >>> parse("<act>open door", ("act",)).fault
        'unclosed'
    """
    tags = list(_tags(tuple(names)).finditer(text))
    fault = _fault_of(text, tags)
    if fault:
        return ParsedAction(kind=MALFORMED, thought=text.strip(), fault=fault)
    opening, closing = tags
    content = text[opening.end() : closing.start()].strip()
    return ParsedAction(kind=opening[2], content=content, thought=text[: opening.start()].strip())


def _fault_of(text: str, tags: list[re.Match[str]]) -> Fault:
    if not tags:
        return "no_action"
    if tags[0][1]:
        return "stray"
    if len(tags) == 1:
        return "unclosed"
    if not tags[1][1]:
        return "nested"
    if tags[1][2] != tags[0][2]:
        return "mismatched"
    if len(tags) > 2:
        return "two_actions"
    if text[tags[1].end() :].strip():
        return "trailing"
    return "" if text[tags[0].end() : tags[1].start()].strip() else "empty"
