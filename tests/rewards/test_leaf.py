"""What a reward sees of a trajectory."""

import pytest
import torch

from milepost.columns import Origin, Role
from milepost.errors import ColumnError, FormatError, SettingError
from milepost.forest import Forest
from milepost.ragged import Ragged
from milepost.rewards.leaf import read_leaf, read_record, score_each


def test_hand_example(grow):
    forest = grow(({"prompt": "2 + 2 =", "answer": "4"}, ["<answer>4</answer>"]), tokens=True)
    leaf = read_leaf(forest, 1)
    assert (leaf.prompt, leaf.completion, leaf.policy_version) == ("2 + 2 =", "<answer>4</answer>", 3)
    assert leaf.references == ("4",)
    assert "".join(map(chr, leaf.token_ids)) == leaf.completion


def test_a_branch_shares_the_text_before_it(grow):
    forest = grow(({"prompt": "q"}, ["think. "])).append([1, 1], {"text": ["one", "two"]})
    assert read_leaf(forest, 2).completion == "think. one"
    assert read_leaf(forest, 3).completion == "think. two"
    assert read_leaf(forest, 3).prompt == "q"


def test_observed_tokens_are_not_the_policys():
    forest = Forest.of(
        [-1, 0],
        {
            "text": ["q", "call"],
            "tokens.id": Ragged.of([[1], [2, 3, 4, 5]], torch.int32),
            "tokens.role": Ragged.of(
                [[Role.PROMPT], [Role.POLICY, Role.INSERTED, Role.OBSERVATION, Role.FORCED]], torch.int8
            ),
        },
    )
    assert read_leaf(forest, 1).token_ids == (2, 3, 5)


def test_the_text_of_the_root_is_the_prompt_where_the_record_has_none():
    forest = Forest.of([-1, 0], {"text": ["asked", "said"]})
    leaf = read_leaf(forest, 1)
    assert (leaf.prompt, dict(leaf.record), leaf.token_ids, leaf.references) == ("asked", {}, None, ())


def test_what_cannot_be_read_says_so(grow):
    forest = grow(({}, ["a"]))
    with pytest.raises(FormatError, match="is a root"):
        read_leaf(forest, 0)
    with pytest.raises(FormatError, match="without text"):
        read_leaf(Forest.of([-1, 0], {"text": ["q", None]}), 1)
    with pytest.raises(FormatError, match="without text"):
        read_leaf(Forest.of([-1, 0], {"origin": [int(Origin.POLICY)] * 2}), 1)
    for text in ("{", "[1]", "3", "[" * 100_000):
        with pytest.raises(FormatError, match="record is"):
            read_record(text)
    with pytest.raises(FormatError, match="expected a list of strings"):
        _ = read_leaf(grow(({"references": "one"}, ["a"])), 1).references
    with pytest.raises(ColumnError, match="holds numbers"):
        read_leaf(Forest(forest.parent, {"text": torch.zeros(2)}), 1)


def test_one_failure_is_one_rows(grow):
    forest = grow(({}, ["1", "x", "3"]))
    scores = score_each(forest, torch.tensor([3, 2, 1]), lambda leaf: float(leaf.completion))
    assert scores.ok.tolist() == [True, False, True]
    assert scores.values[scores.ok].tolist() == [3, 1]
    assert scores.reasons[1].startswith("reward_error: ValueError")


def test_errors_of_the_set_up_are_raised(grow):
    def wrong(_leaf):
        raise SettingError("no")

    with pytest.raises(SettingError):
        score_each(grow(({}, ["a"])), torch.tensor([1]), wrong)
