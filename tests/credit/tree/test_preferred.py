"""The best of siblings is preferred to those unlike it; failed judgements prefer nobody."""

import pytest

from milepost.columns import End
from milepost.credit.tree.preferred import Preferred, is_error
from milepost.curation.pairs.likeness import letter_likeness, word_likeness
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.testing import check_part

OPEN, PRUNED = int(End.OPEN), int(End.PRUNED)


def siblings(values, *, texts=None, results=None, ends=None, ok=None):
    count = len(values)
    columns = {
        "reward.total": [None, *values],
        "ok.total": [False, *(ok or [value is not None for value in values])],
        "text": [None, *(texts or [f"step {place}" for place in range(count)])],
        "result": [None, *(results or [""] * count)],
        "end": [OPEN, *(ends or [OPEN, *[PRUNED] * (count - 1)])],
    }
    return Forest.of([-1] + [0] * count, columns)


def credit(forest, **settings):
    return Preferred(**settings)(forest)["advantage"].tolist()[1:]


def test_by_hand():
    assert credit(siblings([1.0, 0.0, 0.0])) == [1.0, -1.0, -1.0]
    assert credit(siblings([0.0, 1.0, 0.5], ends=[PRUNED, OPEN, PRUNED])) == [-1.0, 1.0, -1.0]


@pytest.mark.parametrize(
    "forest",
    [
        siblings([1.0]),
        siblings([1.0, 1.0, 1.0]),
        siblings([None, None]),
        siblings([None, 0.0]),
        siblings([0.0, 1.0]),  # what went on is not the best: only an unjudged step goes on like that
    ],
)
def test_nobody_has_credit_where_there_is_no_preference(forest):
    assert credit(forest) == [0.0] * (len(forest) - 1)


def test_near_duplicates_are_left_out_and_errors_kept_up_to_two():
    said = ["look up the order of Ann by her zip code"] * 5
    results = ["ok", "Error: none", "error again", "an error, the third", "ok"]
    found = siblings([1.0, 0.0, 0.0, 0.0, 0.0], texts=said, results=results)
    assert credit(found, similarity=word_likeness) == [1.0, -1.0, -1.0, 0.0, 0.0]
    assert credit(found, similarity=word_likeness, errors=0) == [0.0] * 5
    assert credit(found) == [1.0, -1.0, -1.0, -1.0, -1.0]


def test_the_likeness_of_letters_would_leave_nothing():
    texts = ["look up the order of the customer", "ask the customer for the zip code of the order"]
    found = siblings([1.0, 0.0], texts=texts)
    assert credit(found, similarity=word_likeness) == [1.0, -1.0]
    assert credit(found, similarity=letter_likeness) == [0.0, 0.0]


def test_what_an_error_is():
    assert is_error("Error: no such order")
    assert is_error("malformed action: unclosed")
    assert not is_error("the order was cancelled")


def test_it_keeps_the_contract():
    check_part(Preferred(similarity=word_likeness))
    with pytest.raises(SettingError, match="similar"):
        Preferred(similar=1.5)
