"""Work on stored forests in pieces: the same columns however they are cut, and rows stay what they are."""

from dataclasses import dataclass

import pytest
import torch

from milepost import storage
from milepost.columns import End
from milepost.engines.stored.work import Curating, Place, Scoring, cuts, done, joined, rows_of, worked, written
from milepost.errors import FormatError, SettingError
from milepost.forest import Forest
from milepost.rewards.function import Function
from milepost.rewards.text import Length


def share(completions, **columns):
    """Share of the letter "a"; an empty answer raises."""
    return [text.count("a") / len(text) for text in completions]


def interleaved(trees=5):
    """Roots first, then an answer to each, then another: a tree's rows do not lie together."""
    said = ["?"] * trees + ["ab", "a", "", "b", "aa"][:trees] + ["b", "ba", "a", "aab", "c"][:trees]
    ends = [End.OPEN if one == "?" else End.TERMINATED for one in said]
    columns = {"text": said, "end": [int(one) for one in ends], "advantage": [1.0] * len(said)}
    return Forest.of([-1] * trees + [*range(trees)] * 2, columns)


WORK = Scoring(rewards=(Function(source=share), Length(scale=4, unit="characters")), trees=2)


def test_by_hand():
    found = worked(WORK, interleaved())
    assert found["reward.share"][5:].nan_to_num(-1).tolist() == pytest.approx(
        [0.5, 1, -1, 0, 1, 0, 0.5, 1, 2 / 3, 0], abs=1e-6
    )
    assert found["ok.share"].tolist() == [False] * 5 + [True, True, False, True, True] + [True] * 5
    assert "advantage" not in found
    assert found.text("text") == interleaved().text("text")
    assert cuts(interleaved(), 2) == [(0, 2), (2, 4), (4, 5)]
    assert rows_of(interleaved(), 2, 4).tolist() == [2, 3, 7, 8, 12, 13]


def test_a_failure_costs_its_piece_only():
    asked = worked(WORK, interleaved())["cost.reward_calls"]
    whole = worked(Scoring(rewards=WORK.rewards), interleaved())["cost.reward_calls"]
    assert int((asked == 3).sum()) == 4  # the rows beside the one that raised were asked about again
    assert int((whole == 3).sum()) == 10


def test_cuts_change_no_value():
    forest = interleaved()
    one = worked(Scoring(rewards=WORK.rewards[1:]), forest)
    for trees in (1, 2, 3, 5, 9):
        other = worked(Scoring(rewards=WORK.rewards[1:], trees=trees), forest)
        assert other.names == one.names
        assert torch.equal(other["reward.length"][5:], one["reward.length"][5:])
        assert other.text("reason.total") == one.text("reason.total")


def test_limits():
    assert cuts(Forest.of([]), 3) == [(0, 0)]
    assert cuts(torch.tensor([-1, -1, 0]), 0) == [(0, 2)]
    assert len(worked(WORK, Forest.of([], {"text": [], "end": []}))) == 0
    with pytest.raises(SettingError, match="rewards"):
        Scoring(rewards=())
    with pytest.raises(SettingError, match="trees"):
        Scoring(rewards=WORK.rewards, trees=0)
    with pytest.raises(SettingError, match="steps"):
        Curating(steps=())


def test_what_is_written_is_what_is_summed_up(tmp_path):
    storage.write(interleaved(), tmp_path / "f")
    said = done(WORK, Place(source=tmp_path / "f", out=tmp_path / "g"))
    assert [(one["name"], one["scored"], one["failed"]) for one in said] == [
        ("share", 9, 1), ("length", 10, 0), ("total", 9, 1)
    ]  # fmt: skip
    assert said[0]["reasons"] == {"reward_error": 1}
    assert set(storage.read(tmp_path / "g").names) == set(worked(WORK, interleaved()).names)


@dataclass(frozen=True, kw_only=True)
class Longest:
    """Keeps what is as long as anything in the forest."""

    reads, writes = ("text",), ("keep",)
    extra: int = 0

    def __call__(self, forest):
        size = [len(text or "") for text in forest.text("text")]
        forest = forest.with_columns({"keep": [one == max(size) for one in size]})
        return forest if not self.extra else forest.append([0], {"text": ["more"]})


def test_curation_looks_at_all():
    found = worked(Curating(steps=(Longest(),)), interleaved())
    assert found["keep"].tolist() == [one == "aab" for one in interleaved().text("text")]
    assert "advantage" in found
    assert Curating(steps=(Longest(),)).summary(found) == [{"rows": 15, "trajectories": 10, "kept": 1}]


def test_rows_stay_as_they_are():
    with pytest.raises(FormatError, match="made 16 rows of 15"):
        worked(Curating(steps=(Longest(extra=1),)), interleaved())
    with pytest.raises(FormatError, match="do not make a forest"):
        joined(WORK, interleaved(), [written(WORK, interleaved(2))])
