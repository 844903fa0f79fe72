"""Recipes: names, cards that are read without importing anything, settings, and the checks of a job."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from milepost import recipe
from milepost.errors import FormatError, SettingError, UnknownName
from milepost.objectives.clipped import Clipped
from milepost.recipe import Card, Train
from milepost.recipes import grpo

CARD = """CARD = Card(
    title="Probe", paper="arXiv:0", year=2026, domains=("text",), summary="A probe.", parts={}, claims={}, bibtex="@"
)
"""


def test_names_are_the_files_of_the_package_with_dashes() -> None:
    files = {path.stem for path in recipe.FOLDER.glob("[a-z]*.py")}
    assert set(recipe.names()) >= {stem.replace("_", "-") for stem in files}
    assert {"grpo", "a-grae", "bleuberi", "vas"} <= set(recipe.names())
    assert not [name for name in recipe.names() if "_" in name]


def test_cards_are_read_without_torch_and_without_the_recipe() -> None:
    code = (
        "import json, sys; from milepost import recipe; found = [recipe.card(name).title for name in recipe.names()]\n"
        "print(json.dumps([found, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    titles, modules = json.loads(done.stdout)
    assert len(titles) == len(recipe.names())
    assert not {"torch", "transformers", "milepost.recipes.grpo", "milepost.recipes.vas"} & set(modules)


def test_a_card_that_was_read_is_the_card_of_the_module() -> None:
    assert recipe.card("grpo") == grpo.CARD


@pytest.mark.parametrize("name", ["grpo", "a-grae", "bleuberi", "vas"])
def test_builder_and_settings_belong_together(name: str) -> None:
    settings = recipe.settings_of(name)
    assert settings
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in settings.values())
    assert all(parameter.default is not parameter.empty for parameter in settings.values())
    job = recipe.builder(name)()
    assert isinstance(job, Train)
    defaults = {key: parameter.default for key, parameter in settings.items()}
    assert recipe.builder(name)(**defaults) == job


def test_settings_of_grpo() -> None:
    assert recipe.builder("grpo") is grpo.build
    settings = recipe.settings_of("grpo")
    assert {key: settings[key].default for key in ("width", "std", "clip_low", "kl")} == {
        "width": 8,
        "std": True,
        "clip_low": 0.2,
        "kl": 0.0,
    }
    assert settings["width"].annotation in (int, "int")


@pytest.mark.parametrize("look_up", [recipe.card, recipe.builder, recipe.settings_of])
def test_an_unknown_recipe_is_told_the_nearest(look_up: object) -> None:
    with pytest.raises(UnknownName) as caught:
        look_up("grop")
    assert (
        str(caught.value) == f"Unknown recipe 'grop'. Did you mean 'grpo'? Known: {', '.join(sorted(recipe.names()))}."
    )


@pytest.mark.parametrize("name", ["", "a_grae", "__init__", "../recipe", "GRPO"])
def test_a_name_is_what_the_list_prints_and_nothing_else(name: str) -> None:
    with pytest.raises(UnknownName):
        recipe.card(name)


# ---- the job ----


@dataclass(frozen=True)
class Named:
    name: str


@dataclass(frozen=True)
class Rule:
    writes: tuple[str, ...]


def test_rewards_and_weights_must_pair_up() -> None:
    with pytest.raises(SettingError) as caught:
        replace(grpo.build(), weights=(1.0,))
    assert str(caught.value) == "2 rewards were given with 1 weights: give one weight each."


@pytest.mark.parametrize("names", [("a", "a"), ("a", "total"), ("total",)])
def test_names_of_rewards_must_differ_and_leave_total_alone(names: tuple[str, ...]) -> None:
    rewards = tuple(Named(name) for name in names)
    with pytest.raises(SettingError) as caught:
        replace(grpo.build(), rewards=rewards, weights=(1.0,) * len(names))
    assert str(caught.value) == (
        f"Rewards are named {list(names)}: names must differ, and 'total' is the name of their sum."
    )


@pytest.mark.parametrize("stray", ["weight", "reward.total", "keep", "extra.a"])
def test_a_credit_rule_writes_credit_only(stray: str) -> None:
    with pytest.raises(SettingError) as caught:
        replace(grpo.build(), credit=Rule(("advantage", stray)))
    assert str(caught.value) == (
        f"The credit rule writes {[stray]}; a credit rule may write advantage, value, return, feature.return only."
    )


def test_a_job_without_rewards_or_with_every_column_of_credit_passes() -> None:
    job = replace(grpo.build(), rewards=(), weights=(), credit=Rule(("advantage", "value", "return")))
    assert job.resample_rounds == 0
    assert isinstance(job.objective, Clipped)


# ---- cards in other files ----


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of recipes, and no recipes of other packages."""
    monkeypatch.setattr(recipe, "FOLDER", tmp_path)
    monkeypatch.setattr(recipe, "entry_points", lambda group: ())
    return tmp_path


def test_an_empty_folder_has_no_recipes(folder: Path) -> None:
    assert recipe.names() == ()
    with pytest.raises(UnknownName, match=r"Unknown recipe 'grpo'\. Known: none\."):
        recipe.card("grpo")


def test_a_card_is_read_and_its_file_never_run(folder: Path) -> None:
    (folder / "my_probe.py").write_text("import no_such_module_here\n" + CARD + "raise RuntimeError\n")
    (folder / "_private.py").write_text("")
    (folder / "notes.txt").write_text("")
    assert recipe.names() == ("my-probe",)
    card = recipe.card("my-probe")
    assert isinstance(card, Card)
    assert (card.title, card.domains, card.job, card.departs) == ("Probe", ("text",), "train", ())


@pytest.mark.parametrize(
    "source",
    [
        "",
        "OTHER = 1\n",
        "CARD = 3\n",
        "CARD = other\n",
        "CARD = Card('a title by position')\n",
        "CARD = Card(**{'title': 'x'})\n",
        "if True:\n    CARD = Card(title='hidden')\n",
    ],
)
def test_a_file_without_a_literal_card_is_refused(source: str, folder: Path) -> None:
    (folder / "probe.py").write_text(source)
    with pytest.raises(FormatError) as caught:
        recipe.card("probe")
    assert str(caught.value) == "Recipe 'probe' has no line CARD = Card(...) with literal keyword arguments."


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("2026", "int('2026')", "malformed node"),
        ('"Probe"', "__import__('os').getcwd()", "malformed node"),
        ("year=2026, ", "", "missing 1 required keyword-only argument: 'year'"),
        ("year", "years", "unexpected keyword argument 'years'"),
    ],
)
def test_a_damaged_card_is_refused(old: str, new: str, told: str, folder: Path) -> None:
    (folder / "probe.py").write_text(CARD.replace(old, new))
    with pytest.raises(FormatError) as caught:
        recipe.card("probe")
    assert str(caught.value).startswith("CARD of recipe 'probe' is not a literal Card(...): ")
    assert told in str(caught.value)


def test_recipes_of_other_packages_come_after_and_do_not_hide_own_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("recipe_probe_elsewhere")
    module.CARD, module.build = grpo.CARD, grpo.build
    monkeypatch.setitem(sys.modules, module.__name__, module)
    points = tuple(
        EntryPoint(name=name, value=module.__name__, group="milepost.recipes") for name in ("their_own", "probe")
    )
    monkeypatch.setattr(recipe, "entry_points", lambda group: points if group == "milepost.recipes" else ())
    (folder / "probe.py").write_text(CARD)
    assert recipe.names() == ("probe", "their-own")
    assert recipe.card("probe").title == "Probe"
    assert recipe.card("their-own") is grpo.CARD
    assert recipe.builder("their-own") is grpo.build
    assert "width" in recipe.settings_of("their-own")


def test_a_job_is_built_with_settings_that_exist_and_fit() -> None:
    assert recipe.built("grpo", {"width": 3}) == grpo.build(width=3)
    with pytest.raises(UnknownName, match=r"setting of recipe 'grpo'.*'width'"):
        recipe.built("grpo", {"widht": 3})
    with pytest.raises(SettingError, match="Recipe 'informed-rrt-star' cannot be built with"):
        recipe.built("informed-rrt-star", {"repeats": "x"})
