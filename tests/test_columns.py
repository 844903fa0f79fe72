"""The list of columns: families, unknown names, and the numbers and words that stored files hold."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError
from enum import IntEnum

import pytest

from milepost.columns import COLUMNS, REASONS, End, Origin, Role, spec
from milepost.errors import ColumnError

FAMILIES = [name for name in COLUMNS if name.endswith(".*")]


@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in FAMILIES])
def test_a_column_is_found_by_its_name(name: str) -> None:
    assert spec(name) is COLUMNS[name]
    assert spec(name).name == name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("member", ["outcome", "a.b", "*", "1", "reward"])
def test_a_member_of_a_family_has_the_record_of_the_family(family: str, member: str) -> None:
    assert spec(family.removesuffix("*") + member) is COLUMNS[family]


def test_the_families() -> None:
    assert FAMILIES == [
        "reward.*",
        "ok.*",
        "reason.*",
        "label.*",
        "signal.*",
        "cost.*",
        "feature.*",
        "extra.*",
        "extra_text.*",
    ]
    found = [(spec(name).kind, spec(name).dtype, spec(name).checked) for name in ("reward.a", "ok.a", "reason.a")]
    assert found == [("number", "float32", True), ("number", "bool", False), ("text", "string", False)]


@pytest.mark.parametrize("name", ["reward.", "reward", "tokens.mask", "tokens", "nothing.at.all", "", ".", ".outcome"])
def test_an_unknown_column_is_refused_with_the_way_out(name: str) -> None:
    with pytest.raises(ColumnError) as caught:
        spec(name)
    message = str(caught.value)
    assert message.startswith(f"Unknown column {name!r}.")
    assert message.endswith(" Use the prefix 'extra.' (numbers) or 'extra_text.' (strings) for a column of your own.")
    assert "Known: action, advantage, branch_of, call, completion, cost.*" in message


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("advantages", "advantage"), ("token.id", "tokens.id"), ("logprob", "log_prob"), ("rewards.a", "reward.*")],
)
def test_a_misspelt_column_is_told_the_nearest_name(name: str, nearest: str) -> None:
    with pytest.raises(ColumnError, match=f"Did you mean '{nearest.replace('*', '[*]')}'"):
        spec(name)


def test_a_name_near_to_nothing_gets_no_suggestion() -> None:
    with pytest.raises(ColumnError) as caught:
        spec("zzzzzzzzzz")
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        (Role, "PROMPT POLICY INSERTED OBSERVATION FORCED"),
        (Origin, "POLICY INSERTED TEACHER DEMONSTRATION ENVIRONMENT"),
        (End, "OPEN TERMINATED TURN_LIMIT TOKEN_LIMIT BUDGET TIME_LIMIT PRUNED VOID ERROR"),
    ],
)
def test_stored_numbers_never_change(kind: type[IntEnum], members: str) -> None:
    assert {member.name: int(member) for member in kind} == {name: i for i, name in enumerate(members.split())}


def test_stored_reasons_never_change() -> None:
    assert REASONS == (
        "reward_timeout",
        "reward_error",
        "truncated",
        "sandbox_limit",
        "environment_error",
        "cancelled",
        "not_run",
    )
    assert not [code for code in REASONS if ":" in code], "a detail follows after ': '"


def test_every_column_is_described() -> None:
    numbers = {"bool", "int8", "int32", "int64", "float32", "float64", "any"}
    for name, column in COLUMNS.items():
        assert column.kind in ("number", "text", "token"), name
        assert (column.dtype == "string") if column.kind == "text" else (column.dtype in numbers), name
        assert (column.kind == "token") == name.startswith("tokens."), name
        assert column.doc, name
        assert column.owner in ("sampling", "rewards", "credit", "curation", "anyone"), name
        assert not column.checked or column.dtype.startswith(("float", "any")), name


def test_what_must_be_finite() -> None:
    floats = {name for name, column in COLUMNS.items() if column.dtype in ("float32", "float64")}
    assert floats <= {name for name, column in COLUMNS.items() if column.checked}


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        spec("parent").name = "other"


def test_no_torch_is_needed() -> None:
    code = "import sys, milepost.columns; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
