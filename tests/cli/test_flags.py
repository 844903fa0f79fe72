"""Default < file < flag, and what is refused."""

import tomllib

import pytest

from milepost.cli import flags
from milepost.engines import toml_file
from milepost.errors import SettingError, UnknownName


@pytest.fixture
def resolve(recipes, tmp_path):
    def run(*words, file=None):
        path = tmp_path / "given.toml"
        if file is not None:
            path.write_text(file)
        given = flags.read_file(path if file is not None else None)
        return flags.resolve("barge", given, words, prog="milepost run barge")

    return run


def test_defaults_are_those_of_the_dataclasses_and_of_the_recipe(resolve):
    found = resolve().settings
    assert found.settings == {"width": 8, "clip": 0.2, "kind": "a"}
    assert (found.update.steps, found.tasks.names, found.reward, found.cost) == (60, ("chain_sum",), (), {})


def test_a_flag_beats_the_file_and_the_file_the_default(resolve):
    file = "seed = 4\n[update]\nsteps = 7\nminibatches = 2\n[settings]\nwidth = 3\nclip = 1\n[cost]\ntokens = 9"
    found = resolve("--steps", "5", "--width=2", file=file).settings
    assert (found.seed, found.update.steps, found.update.minibatches) == (4, 5, 2)
    assert found.settings == {"width": 2, "clip": 1.0, "kind": "a"}
    assert found.cost == {"tokens": 9}


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (("--tasks", "a", "b"), lambda s: s.tasks.names == ("a", "b")),
        (("--tasks.names", "a"), lambda s: s.tasks.names == ("a",)),
        (("--model", "smollm2"), lambda s: s.policy.model == "smollm2"),
        (("--lora_rank", "4"), lambda s: s.policy.lora_rank == 4),
        (("--update.learning-rate", "1e-3"), lambda s: s.update.learning_rate == 1e-3),
        (("--workers", "2"), lambda s: s.keep.workers == 2),
        (("--reward", "a.py:f", "--reward", "b:g"), lambda s: s.reward == ("a.py:f", "b:g")),
        (("--cost", "tokens=200000", "reward_calls=5"), lambda s: s.cost == {"tokens": 200000, "reward_calls": 5}),
        (("--kind", "b", "--cap", "0.5"), lambda s: s.settings["kind"] == "b" and s.settings["cap"] == 0.5),
        (("--tasks.options.chain_sum.max-terms", "4"), lambda s: s.tasks.options == {"chain_sum": {"max_terms": 4}}),
        (("--tasks.options.x.kind=slow",), lambda s: s.tasks.options == {"x": {"kind": "slow"}}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_flat_and_dotted_names(resolve, words, read):
    assert read(resolve(*words).settings)


def test_a_reward_flag_takes_the_place_of_the_file(resolve):
    assert resolve(file='reward = ["a:b"]').settings.reward == ("a:b",)
    assert resolve("--reward", "c:d", file='reward = ["a:b"]').settings.reward == ("c:d",)


def test_a_name_that_two_settings_end_with_needs_its_section(recipes, capsys):
    found = flags.resolve("long-ferry", {}, ("--settings.temperature", "3"), prog="x").settings
    assert (found.settings["temperature"], found.policy.temperature) == (3.0, 1.0)
    assert flags.resolve("long-ferry", {}, ("--policy.temperature", "0.5"), prog="x").settings.policy.temperature == 0.5
    with pytest.raises(UnknownName, match=r"'--policy.temperature' or '--settings.temperature'"):
        flags.resolve("long-ferry", {}, ("--temperature", "3"), prog="x")
    assert not capsys.readouterr().err


def test_settings_with_several_values_and_switches(recipes):
    found = flags.resolve("long-ferry", {}, ("--settings.names", "p", "q", "--sharp"), prog="x").settings
    assert found.settings["names"] == ("p", "q")
    assert found.settings["sharp"] is True


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("[update]\nstep = 3", "Did you mean 'steps'"),
        ("[updates]\nsteps = 3", "Did you mean 'update'"),
        ("[settings]\nwidht = 3", "Did you mean 'width'"),
        ("sede = 3", "Did you mean 'seed'"),
    ],
)
def test_an_unknown_key_names_the_nearest(resolve, file, message):
    with pytest.raises(UnknownName, match=message):
        resolve(file=file)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ('[update]\nsteps = "many"', "update.steps='many'"),
        ("[settings]\nwidth = 2.5", "settings.width=2.5"),
        ('[settings]\nkind = "c"', "settings.kind='c'"),
        ("[policy]\ntop_p = 1.5", "policy.top_p=1.5"),
        ("[cost]\nhugs = 3", "cost unit='hugs'"),
        ("seed = ", "cannot be read as TOML"),
    ],
)
def test_a_value_that_is_not_allowed_is_named(resolve, file, message):
    with pytest.raises(SettingError, match=message):
        resolve(file=file)


def test_an_unknown_flag_names_the_nearest(resolve, capsys):
    with pytest.raises(UnknownName, match=r"Unknown flag '--stepps'. Did you mean '--steps'\?"):
        resolve("--stepps", "5")
    assert not capsys.readouterr().err, "no box of the parser's own"


@pytest.mark.parametrize(
    ("words", "said"), [(("--cost", "tokens"), "cost"), (("--steps", "x"), "'x'"), (("--repeats",), "repeats")]
)
def test_a_flag_without_a_fit_value_is_named(resolve, words, said):
    with pytest.raises(SettingError, match=said):
        resolve(*words)


def test_negative_repeats_are_refused(resolve):
    with pytest.raises(SettingError, match="repeats=-1"):
        resolve("--repeats", "-1")


def test_help_has_docs_defaults_and_both_names(resolve, capsys):
    with pytest.raises(SystemExit, match="0"):
        resolve("--help", file="[settings]\nwidth = 3")
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Barge (2026). Slow and steady." in said
    assert "--width INT, --settings.width INT answers per task. (default: 3)" in said
    assert "half width of the trust region, around 1." in said
    assert "--workers INT, --keep.workers INT Threads that sample" in said


def test_what_is_saved_repeats_the_run(resolve, tmp_path):
    found = resolve("--width", "3", "--steps", "4", "--cost", "tokens=7", "--tasks.options.a.b", "[1, 2]").settings
    toml_file.write(tmp_path / "run.toml", found)
    again = flags.resolve("barge", flags.read_file(tmp_path / "run.toml"), (), prog="x").settings
    assert again == found
    assert tomllib.loads((tmp_path / "run.toml").read_text())["settings"]["width"] == 3


def test_none_that_is_not_the_default_cannot_be_saved(recipes):
    source = (recipes / "barge.py").read_text().replace("cap: float | None = None", "cap: float | None = 0.5")
    (recipes / "barge.py").write_text(source)
    with pytest.raises(SettingError, match="cap=None"):
        flags.resolve("barge", {}, ("--cap", "None"), prog="x")


def test_split():
    found = flags.split(["grpo", "@", "a.toml", "--steps", "5", "b"])
    assert (found.names, str(found.file), found.flags) == (("grpo",), "a.toml", ("--steps", "5", "b"))
    assert str(flags.split(["@b.toml"]).file) == "b.toml"
    with pytest.raises(SettingError, match="Nothing follows @"):
        flags.split(["grpo", "@"])
    with pytest.raises(SettingError, match="Two files"):
        flags.split(["@", "a", "@", "b"])


def test_a_missing_file_is_wrong_usage(tmp_path):
    with pytest.raises(SettingError, match=r"gone\.toml"):
        flags.read_file(tmp_path / "gone.toml")


def test_chunks_and_names(recipes):
    assert flags.chunks(["--steps", "5", "--no_x", "--w=3"]) == [
        ("--steps", ("--steps", "5")), ("--no-x", ("--no_x",)), ("--w", ("--w=3",)),
    ]  # fmt: skip
    names = flags.names_of("long-ferry")
    assert {"--alpha", "--settings.alpha", "--settings.temperature", "--no-sharp", "--settings.no-sharp"} <= names
    assert "--temperature" not in names


def test_trackers_by_comma(resolve):
    assert resolve("--track", "tensorboard, trackio").launch.trackers == ("tensorboard", "trackio")
    with pytest.raises(UnknownName, match="Did you mean 'trackio'"):
        resolve("--track", "tracio")


def test_recipes_of_a_domain_have_its_defaults_and_a_file_or_flag_has_the_last_word(monkeypatch, recipes):
    monkeypatch.setattr(flags, "DOMAINS", {"text": {"tasks": {"names": ["search"]}, "update": {"steps": 7}}})
    plain = flags.resolve("barge", {}, [], prog="x").settings
    assert (plain.tasks.names, plain.update.steps) == (("search",), 7)
    asked = flags.resolve("barge", {"update": {"steps": 9}}, ["--tasks", "chain_sum"], prog="x").settings
    assert (asked.tasks.names, asked.update.steps) == (("chain_sum",), 9)
    assert flags.resolve("barge", {}, [], prog="x", domain="none").settings.update.steps == 60


def test_recipes_that_are_compared_share_a_domain(recipes):
    assert flags.domain_of(["barge", "barge"]) == "text"
    assert flags.domain_of(["long-ferry", "barge"]) == "flow"


@pytest.mark.parametrize(
    "flags_or_file", [["--tasks", "search_2hop"], ["--tasks=search"], {"tasks": {"names": ["search"]}}]
)
def test_the_environment_of_the_named_tasks_decides_whose_defaults_are_taken(monkeypatch, recipes, flags_or_file):
    other = {"tasks": {"names": ["search"]}, "update": {"steps": 7}}
    monkeypatch.setattr(flags, "DOMAINS", {"agent": other})
    given, typed = (flags_or_file, []) if isinstance(flags_or_file, dict) else ({}, flags_or_file)
    assert flags.resolve("barge", given, typed, prog="x", domain="text").settings.update.steps == 7
    assert flags.resolve("barge", {}, [], prog="x").settings.update.steps == 60
