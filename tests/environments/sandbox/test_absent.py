"""Packages that are not there, for as long as an import lasts."""

import importlib
import sys

import pytest

from milepost.environments.sandbox.absent import absent


def test_names_stand_for_empty_classes_while_it_lasts():
    with absent(["a_client_of_models"]):
        inner = importlib.import_module("a_client_of_models.chat.types")
        assert isinstance(inner.Message, type)
        assert isinstance(inner.Message.Part, type)
        with pytest.raises(AttributeError):
            inner.Message.__wrapped__  # noqa: B018
    assert "a_client_of_models" not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("a_client_of_models")


def test_what_is_installed_stays_and_what_is_below_nothing_is_absent():
    with absent(["json", "nothing.at.all"]):
        assert importlib.import_module("json").dumps([1]) == "[1]"
        assert importlib.import_module("nothing.at.all").X.__name__ == "X"
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("nothing.at.all")
