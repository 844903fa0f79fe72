"""`milepost doctor`: is a reward fit to train on, and which levels of isolation does this machine have?"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from milepost.cli import output
from milepost.errors import FormatError, MilepostError, SettingError, unknown_name
from milepost.evaluation.diagnosis.findings import Finding, Reply, examine
from milepost.evaluation.diagnosis.questions import Case, Question, questions

if TYPE_CHECKING:
    from milepost.part import Reward

ALL = "reasoning-gym"
"""Source that stands for every generator."""
_ANSWER = "<answer>{}</answer>"
_TIMED = 8
"""Answers that are asked about one by one, to see how long one takes."""
_LATE_IN_A_ROW = 5
"""Answers that may take too long one after the other before a reward is asked no more; also asked about at once."""
_SAY_EVERY_S = 2.0
"""Seconds between words about how far it is."""
_LEVELS = ("interpreter", "process")


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What was found of one reward."""

    source: str
    cases: int
    asked: int
    findings: tuple[Finding, ...]
    refused: str = ""
    """Why it was not asked at all."""

    @property
    def fit(self) -> bool:
        """Whether nothing is against training on it."""
        return not self.refused and all(finding.ok for finding in self.findings)


def main(argv: Sequence[str]) -> int:
    """Examine rewards; exit code 1 when a problem is found.

    With --json: an array of objects with `source`, `fit`, `cases`, `asked`, `refused` and `findings` (each `check`,
    `ok`, `measure`, `limit`, `text`); or, for --jail alone, of `level`, `layers`, `missing` and `probes`.
    """
    options = _parser().parse_args(argv)
    if not options.source:
        if options.jail is None:
            raise SettingError("Name a reward: file.py, file.py:function, module:name, a generator, or reasoning-gym.")
        return _levels(as_json=options.json)
    sources = _generators() if options.source == ALL else [options.source]
    with contextlib.redirect_stdout(sys.stderr):  # some scorers print
        found = [_one(source, options) for source in sources]
    if options.json:
        output.document([{**asdict(one), "fit": one.fit} for one in found])
    else:
        output.say(_text(found[0]) if len(found) == 1 else _table(found))
    return output.DONE if all(one.fit for one in found) else output.FOUND


def _parser() -> argparse.ArgumentParser:
    parser = output.Parser(
        prog="milepost doctor",
        description="Is a reward fit to train on? It is asked about right answers, wrong ones and nonsense.",
    )
    parser.add_argument(
        "source",
        nargs="?",
        default="",
        help="file.py, file.py:function, module:function, module:Class of a reward part, a reasoning-gym generator, or "
        f"{ALL} for all generators",
    )
    parser.add_argument(
        "--reference", type=Path, help="JSON lines: one task each, with the right answer as 'completion' or 'answer'"
    )
    parser.add_argument("--template", default="", help="how an answer stands: '<answer>{}</answer>'")
    parser.add_argument("--tasks", type=int, default=16, help="tasks of a generator that are looked at")
    parser.add_argument(
        "--jail",
        nargs="?",
        const="",
        metavar="LEVEL",
        help="run the file as a program that nobody vouches for: interpreter, process, off; without a reward: say "
        "which levels this machine has",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    return parser


# ---- what is examined ----


def _generators() -> list[str]:
    from milepost import optional

    known = optional.load("reasoning_gym.factory", extra="lm", purpose="Examining reasoning-gym").DATASETS
    return sorted(cast("Mapping[str, Any]", known))


def _one(source: str, options: argparse.Namespace) -> Diagnosis:
    if ":" not in source and not source.endswith(".py"):
        return _generator(source, options.tasks)
    if options.jail == "external":
        raise SettingError("--jail external is had from Python only: levels.opened('external', command=(...)).")
    if options.reference is None:
        raise SettingError("A reward of your own is examined with right answers: add --reference gold.jsonl.")
    cases, template = read_cases(options.reference), options.template or "{}"
    return diagnose(_reward(source, options.jail), cases, source=source, template=template)


def _generator(name: str, tasks: int) -> Diagnosis:
    """Examine the verifier of a generator with tasks of its own."""
    from milepost.environments.reasoning import ReasoningGym
    from milepost.environments.reasoning_faults import REFUSED
    from milepost.rewards.outcome import Outcome

    if name not in _generators():
        raise unknown_name("generator or reward", name, _generators())
    if name in REFUSED:
        return Diagnosis(source=name, cases=0, asked=0, findings=(), refused=REFUSED[name])
    try:
        pool = ReasoningGym(names=(name,), allow_exploitable=True).pool("demonstration", tasks)
    except (MilepostError, TypeError) as error:  # one generator makes fractions, which no record can hold
        return Diagnosis(source=name, cases=0, asked=0, findings=(), refused=f"its tasks cannot be had: {error}")
    known = [task.record for task in pool if task.record.get("answer") is not None]
    cases = [Case(record=record, reference=str(record["answer"])) for record in known]
    if not cases:
        return Diagnosis(source=name, cases=0, asked=0, findings=(), refused="its tasks have no reference answer")
    return diagnose(Outcome(), cases, source=name, template=_ANSWER)


def read_cases(path: Path) -> list[Case]:
    """Read tasks with right answers.

    Args:
        path: JSON lines, one task each; `completion` is the right completion, else `answer`, else the first of
            `references`. Everything else is the task's record.

    Returns:
        The cases.

    Raises:
        FormatError: a line is no such object, or there are fewer than two.
        SettingError: the file does not exist.
    """
    if not path.is_file():
        raise SettingError(f"The file of references {path} does not exist.")
    cases: list[Case] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            record: Any = json.loads(line)
        except ValueError as error:
            raise FormatError(f"{path}, line {number} is not JSON: {error}.") from error
        named = cast("dict[str, Any]", record) if isinstance(record, dict) else {}
        listed = [named.get("completion"), named.get("answer"), *(named.get("references") or [])]
        known = [str(value) for value in listed if value is not None]
        if not known:
            raise FormatError(f"{path}, line {number} has no 'completion', 'answer' or 'references': which is right?")
        cases.append(Case(record=named, reference=known[0]))
    if len(cases) < 2:
        raise FormatError(f"{path} has {len(cases)} tasks; at least 2 are needed, 16 and more say something.")
    return cases


def _reward(source: str, jail: str | None) -> Reward:
    place, colon, name = source.rpartition(":")
    if not colon:
        place, name = source, only_function(Path(source))
    if jail is None:
        from milepost.cli.score import load

        return load(f"{place}:{name}")
    from milepost.jail import levels
    from milepost.programs.program import Program
    from milepost.rewards.program import TrajectoryProgram

    if not place.endswith(".py") or not Path(place).is_file():
        raise SettingError(f"--jail runs a file, and {place!r} is none.")
    program = Program(source=Path(place).read_text(encoding="utf-8"), entry=name)
    return TrajectoryProgram(
        program=program, jail=levels.opened(jail or "process"), fields=fields_of(program.source, name)
    )


def fields_of(source: str, entry: str) -> tuple[str, ...]:
    """What a program is given: its arguments, read from its text without running it.

    Args:
        source: the program.
        entry: its function.

    Returns:
        Those of `rewards.program.LEAF_FIELDS` that the function takes; "prompt", "completion" and "record" where it
        takes any by `**`, or is no function that the text defines.

    Raises:
        SettingError: it needs an argument that no program is given.
    """
    from milepost.rewards.program import LEAF_FIELDS

    usual = ("prompt", "completion", "record")
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        body = []  # it is the level that says so, for every answer
    found = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == entry]
    if not found:
        return usual
    takes = found[-1].args
    plain = [*takes.posonlyargs, *takes.args]
    required = plain[: len(plain) - len(takes.defaults)]
    required += [one for one, default in zip(takes.kwonlyargs, takes.kw_defaults, strict=True) if default is None]
    unknown = [one.arg for one in required if one.arg not in LEAF_FIELDS or one in takes.posonlyargs]
    names = {one.arg for one in [*takes.args, *takes.kwonlyargs]}
    given = tuple(field for field in LEAF_FIELDS if field in names or (takes.kwarg and field in usual))
    if unknown or not given:
        raise SettingError(
            f"{entry} asks for ({ast.unparse(takes)}): a program in a jail is given any of "
            f"{', '.join(LEAF_FIELDS)}, by name."
        )
    return given


def only_function(path: Path) -> str:
    """Name of the one public function of a file.

    Args:
        path: a Python file; it is read, not run.

    Returns:
        The name.

    Raises:
        SettingError: there is no such file, it is not Python, or it has none or several.
    """
    if not path.is_file():
        raise SettingError(f"The reward file {path} does not exist.")
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (SyntaxError, ValueError, RecursionError) as error:
        raise SettingError(f"The reward file {path} is not Python: {error}.") from error
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = [node.name for node in body if isinstance(node, kinds) and not node.name.startswith("_")]
    if len(names) != 1:
        raise SettingError(f"{path} has {len(names)} public functions ({', '.join(names)}): name one, as {path}:NAME.")
    return names[0]


# ---- asking ----


def diagnose(reward: Reward, cases: Sequence[Case], *, source: str, template: str) -> Diagnosis:
    """Ask a reward everything and judge its replies.

    Args:
        reward: the reward.
        cases: tasks with right answers.
        source: what to call it.
        template: how an answer stands in a completion; "{}" is the place.

    Returns:
        What was found.

    Raises:
        SettingError: the template has no place for the answer.
    """
    if "{}" not in template:
        raise SettingError(f"template={template!r} has no place for the answer: write it with {{}}.")
    asked = questions(cases)
    replies = _patiently(reward, cases, asked, template, "asked")
    if len(replies) < len(asked):
        late = Finding(
            check="too slow",
            ok=False,
            measure=float(_LATE_IN_A_ROW),
            limit=_LATE_IN_A_ROW - 1.0,
            text=f"{_LATE_IN_A_ROW} answers in a row took too long, the last is {asked[len(replies) - 1].text!r:.60} "
            f"to task {asked[len(replies) - 1].case}: not asked further, nothing else was measured",
        )
        return Diagnosis(source=source, cases=len(cases), asked=len(replies), findings=(late,))
    again = _patiently(reward, cases, asked[::-1], template, "asked again")[::-1]
    again = [Reply(value=None, reason="reward_timeout: not asked")] * (len(asked) - len(again)) + again
    seconds: list[float] = []
    for question in asked[:: max(1, len(asked) // _TIMED)][:_TIMED]:
        begun = time.perf_counter()
        _ask(reward, cases, [question], template)
        seconds.append(time.perf_counter() - begun)
    findings = examine(asked, replies, again, seconds)
    return Diagnosis(source=source, cases=len(cases), asked=len(asked), findings=findings)


def _patiently(
    reward: Reward, cases: Sequence[Case], asked: Sequence[Question], template: str, words: str
) -> list[Reply]:
    """Ask a program in small parts and say how far it is; fewer replies than questions after too many came too late."""
    from milepost.rewards.program import TrajectoryProgram

    part = _LATE_IN_A_ROW if isinstance(reward, TrajectoryProgram) else len(asked)
    found: list[Reply] = []
    said = time.monotonic()
    while len(found) < len(asked):
        found += _ask(reward, cases, asked[len(found) : len(found) + part], template)
        last = found[-_LATE_IN_A_ROW:]
        if len(last) == _LATE_IN_A_ROW and all((one.reason or "").startswith("reward_timeout") for one in last):
            break
        if time.monotonic() - said > _SAY_EVERY_S:
            said = time.monotonic()
            output.warn(f"{words}: {len(found)} of {len(asked)} answers")
    return found


def _ask(reward: Reward, cases: Sequence[Case], asked: Sequence[Question], template: str) -> list[Reply]:
    """One trajectory per question, a root per question so that each has its own record."""
    from milepost.forest import Forest
    from milepost.rewards import guard

    count = len(asked)
    records = [json.dumps(dict(cases[question.case].record), default=str) for question in asked]
    prompts = [str(cases[question.case].record.get("prompt", "")) for question in asked]
    texts = [template.replace("{}", question.text) for question in asked]
    forest = Forest.of(
        [*[-1] * count, *range(count)], {"text": [*prompts, *texts], "record": [*records, *[None] * count]}
    )
    scored = guard.score(reward, forest)
    values = cast("list[float]", scored[f"reward.{reward.name}"][count:].tolist())
    reasons = scored.text(f"reason.{reward.name}")[count:]
    return [
        Reply(value=None if reason is not None or math.isnan(value) else value, reason=reason)
        for value, reason in zip(values, reasons, strict=True)
    ]


# ---- what is printed ----


def _text(found: Diagnosis) -> str:
    if found.refused:
        return f"{found.source}: not examined, because {found.refused}"
    rows = [(_verdict(one), one.check, one.text) for one in found.findings]
    verdict = "fit to train on" if found.fit else "not fit to train on"
    head = f"{found.source}: {verdict} ({found.asked} answers to {found.cases} tasks)"
    return f"{head}\n{output.table(rows)}"


def _verdict(finding: Finding) -> str:
    if not finding.ok:
        return "PROBLEM"
    return "not measured" if math.isnan(finding.measure) else "ok"


def _table(found: Sequence[Diagnosis]) -> str:
    rows = [("source", "verdict", "problems")]
    for one in found:
        problems = "; ".join(f"{finding.check}: {finding.text}" for finding in one.findings if not finding.ok)
        verdict = "fit" if one.fit else ("refused" if one.refused else "problem")
        rows.append((one.source, verdict, one.refused or problems))
    fit = sum(one.fit for one in found)
    refused = sum(bool(one.refused) for one in found)
    return f"{output.table(rows)}\n\n{fit} fit, {len(found) - fit - refused} with problems, {refused} not examined"


def _levels(*, as_json: bool) -> int:
    from milepost.jail import levels

    found = [levels.standing(name) for name in _LEVELS]
    if as_json:
        output.document([asdict(one) for one in found])
    else:
        rows = [("level", "verdict", "layers or reason")]
        rows += [(one.level, "no" if one.missing else "holds", one.missing or ", ".join(one.layers)) for one in found]
        attacks = [
            (one.level, "refused" if attack.refused else "GOT THROUGH", attack.attack, attack.how)
            for one in found
            for attack in one.probes
        ]
        output.say(f"{output.table(rows)}\n\n{output.table(attacks)}")
    return output.DONE if any(not one.missing for one in found) else output.FOUND
