"""What answers messages, by name."""

import pytest

from milepost.errors import SettingError, UnknownName
from milepost.policies.local_chat import LocalChat
from milepost.policies.named_chat import chat
from milepost.policies.server import Server


def test_an_address_is_a_server():
    found = chat("http://127.0.0.1:8000/v1#a/model")
    assert isinstance(found, Server)
    assert (found.base_url, found.name) == ("http://127.0.0.1:8000/v1", "a/model")


def test_anything_else_is_a_model_here():
    found = chat("embedded")
    assert isinstance(found, LocalChat)
    assert found.model == "embedded#0"


def test_what_cannot_be():
    with pytest.raises(SettingError, match="#"):
        chat("http://127.0.0.1:8000/v1")
    with pytest.raises(UnknownName):
        chat("no-such-model")
