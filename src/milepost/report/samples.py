"""Which trees of a forest are worth showing, and what each of their steps says: the content of the sample pages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from markupsafe import Markup

from milepost.columns import End, Origin, Role
from milepost.report import figures
from milepost.report.drawing import episodes, pictures, shades
from milepost.report.literal import Excerpt, excerpt
from milepost.report.stored import groups
from milepost.report.stored.steps import Steps
from milepost.report.why import Line, Why, explain

MOST_CHARACTERS = 2400
"""Characters of one text that are shown."""
MOST_CHAIN, MOST_CHILDREN, MOST_DEPTH = 24, 16, 12
"""Steps of a chain, siblings, and branchings below each other that are shown."""
_MOST_STEPS = 240


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A tree, and why it was chosen."""

    root: int
    why: tuple[str, ...]
    """Of "best", "worst", "contested", "dead", "failed", "first", "only tree"."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One reward of a step."""

    name: str
    value: float | None
    reason: str
    """Why there is no value; empty where there is one."""


@dataclass(frozen=True, kw_only=True)
class Token:
    """A run of characters of an answer, with the shade of how unexpected it was."""

    text: str
    shade: int


@dataclass(frozen=True, kw_only=True)
class View:
    """One step as it is shown."""

    row: int
    origin: str
    end: str
    credit: float | None
    label: str
    """Credit with its sign; on held-out answers, which get none, whether they are right."""
    style: str
    text: Excerpt | None
    tokens: tuple[Token, ...]
    """The text again, one entry per run of equal shade; empty where tokens and characters cannot be matched."""
    strip: tuple[int, ...]
    """Shade of every token the policy wrote."""
    call: Excerpt | None
    result: Excerpt | None
    scores: tuple[Score, ...]
    facts: tuple[str, ...]
    """Tokens, log-probability and cost, each in words."""
    line: Line | None
    picture: Markup | None = None
    """What the latent of a denoising step looks like."""


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A chain of steps, and the branches that follow its last one."""

    views: tuple[View, ...]
    cut: int
    """Steps of the chain left out before the last view."""
    branches: tuple[Branch, ...]
    hidden: int
    """Branches that follow and are not shown."""

    @property
    def level(self) -> bool:
        """Whether what follows are single answers, to be laid out as a grid."""
        return all(len(one.views) == 1 and not one.branches and not one.hidden for one in self.branches)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One tree as it is shown."""

    step: int
    root: int
    why: tuple[str, ...]
    task: str
    prompt: Excerpt
    group: groups.Group
    arithmetic: Why
    """Of the first branching."""
    compared: tuple[int, ...]
    """Rows whose credit the arithmetic explains."""
    scale: float
    """Credit at the ends of the colour scale."""
    trunk: Branch
    steps_in_all: int


def choose(found: Sequence[groups.Group]) -> tuple[Choice, ...]:
    """Choose trees that show the range of what happened.

    Args:
        found: the groups of a forest.

    Returns:
        The best and the worst mean, the widest spread, a dead group and one with a failed reward, as far as they exist;
        a tree that is several of these is named once. Ties go to the first.
    """
    counted = [one for one in found if one.spread.count]
    alive = [one for one in counted if not one.dead and one.spread.count > 1]
    picked: dict[int, list[str]] = {}
    by_spread = max(alive, key=lambda one: one.spread.std, default=None)
    by_failure = max((one for one in found if one.failed), key=lambda one: one.failed, default=None)
    for why, one in (
        ("contested", by_spread),
        ("best", max(alive or counted, key=lambda one: one.spread.mean, default=None)),
        ("worst", min(alive or counted, key=lambda one: one.spread.mean, default=None)),
        ("dead", next((one for one in counted if one.dead), None)),
        ("failed", by_failure),
    ):
        if one is not None:
            picked.setdefault(one.root, []).append(why)
    if not picked or len(found) == 1:
        picked = {one.root: ["only tree" if len(found) == 1 else "first"] for one in found[:1]}
    return tuple(Choice(root=root, why=tuple(why)) for root, why in picked.items())


def sample(steps: Steps, choice: Choice, *, step: int, scale: float, per_character: bool) -> Sample:
    """Prepare one tree for showing.

    Args:
        steps: a stored forest.
        choice: which tree.
        step: training step it belongs to.
        scale: credit at the ends of the colour scale.
        per_character: whether the policy writes one character per token.

    Returns:
        The tree, cut to what can be shown.
    """
    reward = steps.main_reward
    worked = _arithmetic(steps, choice.root, reward)
    draw = _Drawing(steps=steps, lines=worked.lines, scale=scale, per_character=per_character, left=[_MOST_STEPS])
    trunk = draw.fork((), 0, _in_order(steps, choice.root), 0)
    return Sample(
        step=step,
        root=choice.root,
        why=choice.why,
        task=steps.text("task", choice.root) or "",
        prompt=excerpt(prompt(steps, choice.root), MOST_CHARACTERS),
        group=groups.group(steps, choice.root, reward),
        arithmetic=worked.first,
        compared=worked.compared,
        scale=scale,
        trunk=trunk,
        steps_in_all=len(steps.trees[choice.root]) - 1,
    )


def _in_order(steps: Steps, root: int) -> tuple[int, ...]:
    """Answers of one turn best credit first; the branches of a deeper tree as they grew."""
    below = steps.children[root]
    if any(steps.children[row] for row in below):
        return below
    credit = {row: steps.number("advantage", row) for row in below}
    return tuple(sorted(below, key=lambda row: (credit[row] is None, -(credit[row] or 0.0), row)))


def prompt(steps: Steps, root: int) -> str:
    """What the policy was asked at a root: its text, else the prompt of the task's record.

    Args:
        steps: a stored forest.
        root: a row without a parent.

    Returns:
        The prompt; empty if none is stored.
    """
    said = steps.text("text", root)
    if said is not None:
        return said
    try:
        record: Any = json.loads(steps.text("record", root) or "{}")
    except ValueError:
        return ""
    found = cast("Mapping[str, Any]", record).get("prompt", "") if isinstance(record, dict) else ""
    return found if isinstance(found, str) else ""


@dataclass(frozen=True, kw_only=True)
class _Worked:
    lines: Mapping[int, Line]
    first: Why
    compared: tuple[int, ...]


def _arithmetic(steps: Steps, root: int, reward: str | None) -> _Worked:
    """Arithmetic of every sibling group of a tree, and that of its first branching."""
    worth = groups.worth(steps, root, reward)
    own = {row: None if reward is None else steps.number(f"reward.{reward}", row) for row in steps.trees[root]}
    lines: dict[int, Line] = {}
    first, compared = explain((), ()), ()
    for row in steps.trees[root] if reward is not None and not episodes.appraised(steps) else ():
        below = steps.children[row]
        if len(below) > 1 or row == root:
            credits = [steps.number("advantage", child) for child in below]  # noqa: A001
            why = explain([own[child] for child in below], credits)  # of a rule that looks at single steps
            if not why.found or any(own[child] is None for child in below):
                why = explain([worth[child] for child in below], credits)
            lines |= dict(zip(below, why.lines, strict=True))
            if len(compared) < 2:
                first, compared = why, below
    return _Worked(lines=lines, first=first, compared=compared)


@dataclass(frozen=True, kw_only=True)
class _Drawing:
    """Turns rows into views until the budget of steps is spent."""

    steps: Steps
    lines: Mapping[int, Line]
    scale: float
    per_character: bool
    left: list[int]
    """Steps that may still be shown, one entry."""

    def fork(self, views: tuple[View, ...], cut: int, below: Sequence[int], depth: int) -> Branch:
        """A chain and what follows it."""
        room = MOST_CHILDREN if depth < MOST_DEPTH and self.left[0] > 0 else 0
        shown = [self._branch(row, depth + 1) for row in below[:room]]
        return Branch(views=views, cut=cut, branches=tuple(shown), hidden=len(below) - len(shown))

    def _branch(self, row: int, depth: int) -> Branch:
        chain = [row]
        while len(below := self.steps.children[chain[-1]]) == 1:
            chain.append(below[0])
        shown = chain if len(chain) <= MOST_CHAIN else [*chain[: MOST_CHAIN - 1], chain[-1]]
        self.left[0] -= len(shown)
        return self.fork(tuple(self.view(one) for one in shown), len(chain) - len(shown), below, depth)

    def view(self, row: int) -> View:
        """One step."""
        steps = self.steps
        credit = steps.number("advantage", row)
        log_prob = _policy_values(steps, row)
        shaded = tuple(shades.surprise(float(value)) for value in log_prob)
        text, origin, end = steps.text("text", row), steps.origin(row), steps.end(row)
        solved = steps.number("reward.solved", row) if "advantage" not in steps.numbers else None
        return View(
            row=row,
            origin="" if origin in (None, Origin.POLICY) else origin.name.lower(),
            end="" if end is End.OPEN else end.name.lower().replace("_", " "),
            credit=credit,
            label=figures.signed(credit) if solved is None else ("right" if solved == 1 else "wrong"),
            style=shades.credit_class(credit, self.scale) if solved is None else ("p3" if solved == 1 else "z"),
            text=None if text is None else excerpt(text, MOST_CHARACTERS),
            tokens=_matched(text, shaded) if self.per_character else (),
            strip=shaded[:600],
            call=_cut(steps.text("call", row)),
            result=_cut(steps.text("result", row)),
            scores=_scores(steps, row),
            facts=facts(steps, row),
            line=self.lines.get(row),
            picture=_picture(steps, row),
        )


def _picture(steps: Steps, row: int) -> Markup | None:
    """The latent of a step, and beside it the clean one that is foreseen there or that no noise would lead to."""
    time = steps.number("time", row)
    if time is None:  # a root holds a condition and no latent
        return None
    names = ("latent", *(("estimate", "completion") if time > 0 else ()))
    held = [(name, steps.numbers[name][row]) for name in names if name in steps.numbers]
    drawn = [pictures.picture(image, f"{name} at time {figures.plain(time)}") for name, image in held]
    shown = [one for one in drawn if one is not None]
    if len(shown) < 2:
        return shown[0] if shown else None
    return Markup('<div class="gallery">{}</div>').format(Markup("").join(shown))


def _cut(text: str | None) -> Excerpt | None:
    return None if text is None else excerpt(text, MOST_CHARACTERS)


def _policy_values(steps: Steps, row: int) -> list[float]:
    values, role = steps.span("tokens.log_prob", row), steps.span("tokens.role", row)
    if len(role) == len(values):
        values = values[role == int(Role.POLICY)]
    return [float(value) for value in values]


def _matched(text: str | None, shaded: Sequence[int]) -> tuple[Token, ...]:
    """Runs of characters of one shade, where there is one token per character (a last token may be unseen)."""
    if text is None or len(text) > MOST_CHARACTERS or len(shaded) - len(text) not in (0, 1):
        return ()
    runs: list[list[Any]] = []
    for character, shade in zip(text, shaded, strict=False):
        if runs and runs[-1][1] == shade:
            runs[-1][0] += character
        else:
            runs.append([character, shade])
    return tuple(Token(text=run, shade=shade) for run, shade in runs)


def _scores(steps: Steps, row: int) -> tuple[Score, ...]:
    found: list[Score] = []
    for name in steps.rewards:
        value, reason = steps.number(f"reward.{name}", row), steps.text(f"reason.{name}", row)
        if value is not None:
            found.append(Score(name=name, value=value, reason=""))
        elif reason is not None or not (steps.children[row] or steps.end(row) is End.PRUNED):
            found.append(Score(name=name, value=None, reason=reason or "no reason stored"))
    return tuple(found)


def facts(steps: Steps, row: int) -> tuple[str, ...]:
    """Tokens, log-probability and cost of a step, each in words.

    Args:
        steps: a stored forest.
        row: one of its rows.

    Returns:
        Such as "log-prob −8.30, −0.36 per token", "23 tokens", "1 model call".
    """
    found: list[str] = []
    log_prob, own = _policy_values(steps, row), steps.number("log_prob", row)
    if log_prob:
        each = figures.fixed(sum(log_prob) / len(log_prob))
        found.append(f"log-prob {figures.fixed(sum(log_prob))}, {each} per token")
        found.append(f"{len(log_prob)} {'token' if len(log_prob) == 1 else 'tokens'}")
    elif own is not None:
        found.append(f"log-prob {figures.fixed(own)}")
    for name in ("time", "value", "return", "weight"):
        value = steps.number(name, row)
        if value is not None:
            found.append(f"{name} {figures.plain(value)}")
    for name in steps.costs:
        value = steps.number(f"cost.{name}", row)
        if value and not (name == "tokens" and log_prob):
            word = name.replace("_", " ")
            found.append(f"{figures.count(value)} {word[:-1] if value == 1 and word.endswith('s') else word}")
    return tuple(found)
