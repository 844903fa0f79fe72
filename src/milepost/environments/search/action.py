"""The actions of the search environment: `<search>query</search>` or `<answer>text</answer>`, after any thought."""

from __future__ import annotations

from milepost.environments.action import ParsedAction, parse

SEARCH, ANSWER = "search", "answer"
STOP = (f"</{SEARCH}>", f"</{ANSWER}>")
"""Where an action ends."""
SEPARATOR = "##"
"""Stands between the queries of one action, where several are allowed."""


def parse_action(text: str) -> ParsedAction:
    """Read the action of one step, see `environments.action.parse`.

    Args:
        text: what the policy wrote in this step, and nothing else.

    Returns:
        An action of the kind "search", "answer" or "malformed".

    Example:
        >>> parse_action("Where is it? <search>city Moundou</search>").content
        'city Moundou'
        >>> parse_action("<search>city Moundou</answer>").fault
        'mismatched'
    """
    return parse(text, (SEARCH, ANSWER))


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
