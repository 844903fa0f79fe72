"""SubSearch's rewards on trajectories of the real environment."""

import math

import pytest

from milepost.errors import SettingError
from milepost.rewards import guard
from milepost.rewards.outcome import Outcome
from milepost.rewards.subqueries.encoder import HashedWords
from milepost.rewards.subqueries.formulas import smart_beta
from milepost.rewards.subqueries.reward import (
    Answerability,
    Decomposition,
    Fixed,
    Intermediate,
    Published,
    Smart,
    WellFormed,
)


def values(forest, *rewards):
    for reward in rewards:
        forest = guard.score(reward, forest)
        assert all(text is None for text in forest.text(f"reason.{reward.name}"))
    ends = forest.leaves()
    return [forest[f"reward.{reward.name}"][ends].tolist() for reward in rewards]


@pytest.fixture
def actions(environment):
    """A right answer after good searches, a wrong one after them, a wrong one without, and one in the wrong form."""
    record = environment.train()[0].record
    plan = [f"<search>{query}</search>" for query in record["plan"]]
    right, wrong = f"<answer>{record['answer']}</answer>", "<answer>no idea</answer>"
    return [*plan, right], [*plan, wrong], [wrong], ["<search>x</answer>", wrong]


def test_what_each_reward_says(play, actions):
    forest = play(*actions)
    right, asked, split, middle, form = values(
        forest, Outcome(), Answerability(), Decomposition(), Intermediate(beta=Fixed(value=0.2)), WellFormed()
    )
    assert right == [1, 0, 0, 0]
    assert form == [1, 1, 1, 0]
    assert asked[0] == asked[1] > 0.2
    assert asked[2:] == split[2:] == [0.0, 0.0], "no search"
    assert middle[0] == 0.0, "a right answer is never improved"
    assert middle[1] == pytest.approx(0.2 * (asked[1] + split[1]) / 2, abs=1e-6)
    assert middle[2:] == [0.0, 0.0]


def test_a_share_of_its_own(play, actions):
    forest = play(*actions)
    asked, split = values(forest, Answerability(), Decomposition())
    for share, alone in ((1.0, asked), (0.0, split)):
        (middle,) = values(forest, Intermediate(beta=Fixed(value=0.2), answerability=share))
        assert middle[1] == pytest.approx(0.2 * alone[1], abs=1e-6)


def test_beta_follows_the_updates(play, actions):
    (early,), (late,) = (values(play(*actions, version=version), Intermediate()) for version in (0, 3000))
    assert early[1] / late[1] == pytest.approx(smart_beta(0) / smart_beta(3000), rel=1e-4)
    assert [Smart()(step) for step in (0, 500)] == [smart_beta(0), smart_beta(500)]
    assert [Fixed(value=0.3)(step) for step in (0, 500)] == [0.3, 0.3]


def test_repeats_and_the_question_itself_are_worth_nothing(play, environment):
    question = environment.train()[0].record["prompt"]
    one, twice = [f"<search>{question}</search>"], [f"<search>{question} ## {question.upper()} </search>"]
    assert values(play(one, twice), Decomposition()) == [[0.0, 0.0]]


def test_the_published_reward_is_inverted_on_real_trajectories(play, actions):
    """Trap: a good search with a wrong answer earns less than answering at once."""
    (found,) = values(play(*actions), Published(beta=Fixed(value=0.2)))
    assert found[0] == 1.0
    assert found[1] < found[2] + 0.1
    assert found[2] == pytest.approx(0.2)


def test_each_text_is_embedded_once(play, actions):
    asked = []

    class Counted:
        def __call__(self, texts):
            asked.extend(texts)
            return HashedWords()(texts)

    values(play(*actions), Intermediate(encoder=Counted()))
    assert len(asked) == len(set(asked))


def test_what_cannot_be_read_is_not_ok(play, actions):
    forest = play(*actions).without("call")
    for reward in (Answerability(), Intermediate(), Published(), WellFormed()):
        scored = guard.score(reward, forest)
        assert not bool(scored[f"ok.{reward.name}"].any())
        ends = scored.leaves().tolist()
        assert all("searched for" in scored.text(f"reason.{reward.name}")[row] for row in ends)
        assert all(math.isnan(one) for one in scored[f"reward.{reward.name}"].tolist())


def test_settings_are_checked():
    for wrong in (
        lambda: Fixed(value=1.1),
        lambda: Intermediate(answerability=2.0),
        lambda: Published(answerability=-1.0),
    ):
        with pytest.raises(SettingError):
            wrong()
