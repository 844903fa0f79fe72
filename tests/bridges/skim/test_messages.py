"""Roles and fields are told apart by their bytes: names that are nearly one are not one."""

import orjson
import pytest

from milepost.bridges.skim.block import Block
from milepost.bridges.skim.messages import ODD, ROLES, SKIMMED


def kind(messages, **more):
    return Block(orjson.dumps({"messages": messages, **more}), limit=1 << 20).kind.tolist()


@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_its_number(role):
    block = Block(orjson.dumps({"messages": [{"role": role}]}), limit=1 << 20)
    assert block.role.tolist() == [ROLES.index(role)]


@pytest.mark.parametrize(
    "role", ["use", "users", "User", "assistent", "assistan", "tools", "functions", "developes", ""]
)
def test_other_roles_are_odd(role):
    assert kind([{"role": role}]) == [ODD]


@pytest.mark.parametrize(
    "name", ["contents", "contenu", "tool_callz", "tool_calls_", "roles", "rol", "function", "message", ""]
)
def test_fields_that_are_nearly_one_do_not_matter(name):
    assert kind([{"role": "user", name: [1]}], messagez=2, Messages=3) == [SKIMMED]


@pytest.mark.parametrize("call", [{}, {"function": {}}, {"function": {"name": "f"}}, {"function": "f"}, "f", None, 1])
def test_calls_without_a_name_or_arguments_are_odd(call):
    assert kind([{"role": "user", "tool_calls": [call]}]) == [ODD]
