"""Environments by the names of tasks, and what does not fit together."""

import pytest

from milepost.environments import by_name
from milepost.environments.denoising import Denoising, Prompts
from milepost.environments.reasoning import ReasoningGym
from milepost.environments.sandbox.dojo import Dojo
from milepost.environments.sandbox.environment import Desk
from milepost.environments.sandbox.tau2 import Tau2
from milepost.environments.sandbox.users import Asked
from milepost.environments.search.environment import Limits, Search
from milepost.environments.textworld import TextWorld
from milepost.errors import SettingError, UnknownName
from milepost.policies import named_chat


def build(*names, **options):
    return by_name.environment(names, options, train_size=6, held_out_size=3)


def test_names_choose():
    assert isinstance(build("chain_sum"), ReasoningGym)
    assert build("search") == Search(train_size=6, held_out_size=3)
    assert build("search_3hop", "search_1hop").hops == (3, 1)
    assert len(build("search_2hop").train()) == 6


def test_a_corpus_is_named_in_the_task_or_in_its_options():
    found = build("search_python_2hop", "search_python_1hop", search_python_1hop={"turns": 3})
    assert (found.corpus, found.hops, found.limits.turns) == ("python", (2, 1), 3)
    assert build("search_python") == build("search", search={"corpus": "python"})
    with pytest.raises(SettingError, match="not all of the corpus 'python'"):
        build("search_python_1hop", "search_2hop")
    with pytest.raises(SettingError, match="not all of the corpus 'countries'"):
        build("search_python", search_python={"corpus": "countries"})


def test_a_name_of_nothing_is_told_all_that_exists():
    with pytest.raises(
        UnknownName, match=r"Unknown task 'nope'.*chain_sum.*digits.*search_foldoc.*tau2_retail.*textworld"
    ):
        build("nope")
    with pytest.raises(UnknownName, match="Did you mean 'textworld'"):
        build("textwold")


def test_games_have_their_options():
    found = build("textworld", textworld={"rooms": 2, "turns": 4})
    assert found == TextWorld(rooms=2, turns=4, train_size=6, held_out_size=3)


def test_service_desks_have_a_user_by_script_or_by_model():
    found = build("tau2_airline", tau2_airline={"turns": 9})
    assert found == Desk(sandbox=Tau2(domain="airline"), turns=9, train_size=6, held_out_size=3)
    with pytest.raises(SettingError, match="nothing here can ask a model"):
        build("tau2_retail", tau2_retail={"user": "smollm2"})
    chosen = {"tau2_retail": {"user": "http://127.0.0.1:1/v1#m"}}
    found = by_name.environment(("tau2_retail",), chosen, train_size=1, held_out_size=1, chat=named_chat.chat)
    assert isinstance(found.user, Asked)
    assert found.user.chat.model == "m"


def test_suites_may_be_attacked():
    found = build("agentdojo_slack", agentdojo_slack={"attacked": True, "turns": 9})
    assert found == Desk(sandbox=Dojo(suite="slack", attacked=True), turns=9, train_size=6, held_out_size=3)
    with pytest.raises(UnknownName, match="Did you mean 'attacked'"):
        build("agentdojo_slack", agentdojo_slack={"attack": True})


def test_images_are_drawn_by_the_flow_model():
    found = build("digits")
    assert found == Denoising(train_size=6, held_out_size=3)
    assert (found.embedded, found.stop) == ("digits-flow", ())


def test_options_reach_the_limits():
    found = build("search_2hop", search_2hop={"turns": 3, "results": 1, "corpus": "countries"})
    assert found.limits == Limits(turns=3, results=1)


@pytest.mark.parametrize("environment", [build("chain_sum"), build("search"), build("textworld"), build("tau2_retail")])
def test_every_environment_says_where_actions_end_and_which_model_knows_it(environment):
    assert all(text.startswith("</") for text in environment.stop)
    assert environment.embedded.startswith("embedded")


@pytest.mark.parametrize(
    ("names", "options", "error", "says"),
    [
        (("search", "chain_sum"), {}, SettingError, "mixes 'search'.*'chain_sum'"),
        (("chain_sum", "textworld"), {}, SettingError, "mixes 'chain_sum' .reasoning-gym. with 'textworld'"),
        (("textworld",), {"textworld": {"room": 3}}, UnknownName, "Did you mean 'rooms'"),
        (("digits", "search"), {}, SettingError, "mixes 'digits' .digits. with 'search'"),
        (("tau2_retail", "tau2_airline"), {}, SettingError, "mixes 'tau2_retail'"),
        (("tau2_retail",), {"tau2_retail": {"turn": 3}}, UnknownName, "Did you mean 'turns'"),
        (("digits",), {"digits": {"classes": 3}}, UnknownName, "option of task 'digits' 'classes'"),
        (("search",), {"search": {"turn": 3}}, UnknownName, "Did you mean 'turns'"),
        (("search",), {"search_1hop": {}}, UnknownName, "tasks.options"),
        (("search",), {"search": {"turns": 0}}, SettingError, "turns"),
        (("search",), {"search": {"corpus": "atlas"}}, UnknownName, "collection"),
        (("search", "search_1hop"), {}, SettingError, "repeats"),
        (
            ("search_1hop", "search_2hop"),
            {"search_1hop": {"turns": 3}, "search_2hop": {"turns": 4}},
            SettingError,
            "share one setting",
        ),
        (("serch",), {}, UnknownName, "serch"),
    ],
)
def test_what_does_not_fit_is_told(names, options, error, says):
    with pytest.raises(error, match=says):
        build(*names, **options).train()


def test_prompts_come_from_files(tmp_path):
    first, second = tmp_path / "train.txt", tmp_path / "kept.txt"
    first.write_text("a cat\na dog\n", encoding="utf-8")
    second.write_text("a hen\n", encoding="utf-8")
    found = build("prompts", prompts={"file": str(first), "held_out": str(second), "guidance": 3.0})
    assert found == Prompts(prompts=("a cat", "a dog"), kept=("a hen",), held_out_size=3)
    with pytest.raises(SettingError, match=r"--tasks\.options\.prompts\.file"):
        build("prompts")
    with pytest.raises(UnknownName, match="Did you mean 'file'"):
        build("prompts", prompts={"fil": str(first)})
    with pytest.raises(SettingError, match="one environment"):
        build("prompts", "digits")
