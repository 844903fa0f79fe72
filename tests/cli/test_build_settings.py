"""Settings of a recipe from its syntax tree."""

import sys
from typing import Literal

import pytest

from milepost import recipe
from milepost.cli import build_settings
from milepost.errors import FormatError, UnknownName


def write(recipes, signature):
    text = (recipes / "barge.py").read_text()
    head, _, rest = text.partition("def build(")
    (recipes / "barge.py").write_text(f"{head}def build({signature}) -> Train:{rest.partition(') -> Train:')[2]}")


def test_names_types_defaults_and_docs(recipes):
    found = build_settings.of("barge")
    assert [one.name for one in found] == ["width", "clip", "kind", "cap"]
    assert [one.type for one in found] == [int, float, Literal["a", "b"], float | None]
    assert [one.default for one in found] == [8, 0.2, "a", None]
    assert found[1].doc == "half width of the trust region, around 1."
    assert [one.type_name for one in found] == ["int", "float", "Literal['a', 'b']", "float | None"]


def test_tuples_and_switches(recipes):
    found = {one.name: one for one in build_settings.of("long-ferry")}
    assert found["names"].type == tuple[str, ...]
    assert found["names"].default == ("x",)
    assert found["sharp"].default is False


def test_negative_defaults(recipes):
    write(recipes, "*, low: float = -0.5")
    assert build_settings.of("barge")[0].default == -0.5


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("width: int = 8", "must take keyword-only settings"),
        ("**settings: int", "must take keyword-only settings"),
        ("*, width: int", "'width' of recipe 'barge' needs a type and a default"),
        ("*, width=8", "'width' of recipe 'barge' needs a type and a default"),
        ("*, width: Path = 8", "Path is not int, float, str, bool"),
        ("*, width: int = 2 ** 3", "literal default"),
    ],
)
def test_what_a_flag_cannot_hold_is_refused(recipes, signature, message):
    write(recipes, signature)
    with pytest.raises(FormatError, match=message):
        build_settings.of("barge")


def test_no_build(recipes):
    (recipes / "barge.py").write_text((recipes / "barge.py").read_text().replace("def build", "def built"))
    with pytest.raises(FormatError, match="no function build"):
        build_settings.of("barge")


def test_an_unknown_recipe(recipes):
    with pytest.raises(UnknownName, match="Did you mean 'barge'"):
        build_settings.of("barg")


def test_a_recipe_of_another_package(recipes, tmp_path, monkeypatch):
    (tmp_path / "tug_package.py").write_text((recipes / "barge.py").read_text())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(recipe, "names", lambda: ("tug",))
    monkeypatch.setattr(recipe, "_module", lambda _: "tug_package")
    assert [one.name for one in build_settings.of("tug")] == ["width", "clip", "kind", "cap"]
    sys.modules.pop("tug_package")


def test_a_comment_behind_a_setting_explains_it(recipes):
    write(recipes, "*,\n    width: int = 8,  # answers, each its own\n    low: float = 1.0,\n")
    assert [one.doc for one in build_settings.of("barge")] == ["answers per task.", ""]
    text = (recipes / "barge.py").read_text().replace("        width: answers per task.\n", "")
    (recipes / "barge.py").write_text(text)
    assert [one.doc for one in build_settings.of("barge")] == ["answers, each its own", ""]


def test_every_real_recipe_can_be_read():
    assert all(build_settings.of(name) for name in recipe.names())
