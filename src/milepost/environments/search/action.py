"""The grammar of an action: any thought, then exactly one `<search>query</search>` or `<answer>text</answer>`.

Only the text of one step is ever read, which is what the policy wrote there. What the environment showed is never
parsed, so text inside a document cannot act.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

SEARCH, ANSWER = "search", "answer"
STOP = (f"</{SEARCH}>", f"</{ANSWER}>")
"""Where an action ends."""
SEPARATOR = "##"
"""Stands between the queries of one action, where several are allowed."""

Kind = Literal["search", "answer", "malformed"]
Fault = Literal["", "no_action", "unclosed", "nested", "stray", "mismatched", "two_actions", "trailing", "empty"]
"""What is wrong with an action; "" when nothing is."""

_TAG = re.compile(rf"<(/?)({SEARCH}|{ANSWER})>")


@dataclass(frozen=True, kw_only=True)
class ParsedAction:
    """One step of the policy taken apart."""

    kind: Kind
    content: str = ""
    """The query or the answer, without white space around it."""
    thought: str = ""
    """What stands before the action; the whole text of a malformed one."""
    fault: Fault = ""


def parse_action(text: str) -> ParsedAction:
    """Read the action of one step.

        [thought] "<search>" query "</search>"   or   [thought] "<answer>" answer "</answer>"

    Args:
        text: what the policy wrote in this step, and nothing else.

    Returns:
        The action. A malformed one has the first of these faults: "no_action", no tag at all; "stray", a closing tag
        first; "unclosed", the text ends inside; "nested", a tag opens inside another; "mismatched", another tag closes;
        "two_actions", a second tag after the first pair; "trailing", other text after it; "empty", nothing inside.
        Tags are case sensitive.

    Example:
        >>> parse_action("Where is it? <search>city Moundou</search>").content
        'city Moundou'
        >>> parse_action("<search>city Moundou</answer>").fault
        'mismatched'
    """
    tags = list(_TAG.finditer(text))
    fault = _fault_of(text, tags)
    if fault:
        return ParsedAction(kind="malformed", thought=text.strip(), fault=fault)
    opening, closing = tags
    content = text[opening.end() : closing.start()].strip()
    thought = text[: opening.start()].strip()
    return ParsedAction(kind="search" if opening[2] == SEARCH else "answer", content=content, thought=thought)


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


def split_queries(content: str, most: int) -> tuple[str, ...]:
    """Take the queries of a search apart.

    Args:
        content: what stands between the tags; queries are parted by `##`.
        most: most queries of one action; with 1 the text is one query, whatever is in it.

    Returns:
        Distinct queries in order, empty ones left out, the first `most` of them.
    """
    if most == 1:
        return (content,)
    found = dict.fromkeys(query.strip() for query in content.split(SEPARATOR))
    return tuple(query for query in found if query)[:most]
