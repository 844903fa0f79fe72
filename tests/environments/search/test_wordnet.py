"""WordNet's nouns: lines read as the file has them, chains of kinds, names with one meaning only."""

import pytest

from milepost.environments.search import wordnet
from milepost.environments.search.collection import Collection
from milepost.errors import FormatError, MissingExtra
from tests.environments.search import corpora


def world(folder):
    known = wordnet.synsets(folder)
    return known, Collection(name="wordnet", documents=wordnet.documents(known), questions=wordnet.questions(known))


def test_synsets_by_hand(tmp_path):
    known = wordnet.synsets(corpora.nouns(tmp_path))
    assert [one.words for one in known][:2] == [("animal",), ("bird", "feathered friend")]
    assert known[1].gloss == "an animal with two feathered wings", "without examples"
    assert (known[4].kinds, known[4].wholes) == (("00000007",), ("00000003",))


def test_questions_by_hand(tmp_path):
    _, made = world(corpora.nouns(tmp_path))
    asked = {one.id: one for one in made.questions}
    assert asked["1hop-whole:talon"].answer == "raptor"
    assert asked["2hop-whole-kind:talon"].answer == "bird"
    deep = asked["3hop-kind-kind-kind:owl"]
    assert (deep.answer, deep.gold) == ("animal", ("kind:00000004", "kind:00000003", "kind:00000002"))
    said = asked["2hop-gloss-kind:owl"]
    assert said.text == "What is this a kind of: a hunter by night whose head turns all the way round?"
    assert said.answer == "raptor"
    names = {name for one in made.questions for name in one.countries}
    assert "bat" not in names, "two meanings, of which one is not even taken"
    assert "eyrie" not in names, "of another file"


def test_every_answer_follows_from_the_files(tmp_path):
    """Written ones: the whole of WordNet takes seconds to read."""
    known, made = world(corpora.nouns(tmp_path))
    corpora.check(made, wordnet.facts(known))
    assert corpora.check_play(made) > 0


def test_what_is_not_there_is_said_with_the_way_to_get_it(tmp_path):
    with pytest.raises(MissingExtra, match="apt install wordnet-base"):
        wordnet.synsets(tmp_path)


@pytest.mark.parametrize(
    "line", ["00000001 05 n", "00000001 05 n 01 animal 0 002 @ | x", "00000001 05 n zz animal 0 000 | x"]
)
def test_a_line_that_is_no_synset_is_refused(tmp_path, line):
    with pytest.raises(FormatError, match="no synset"):
        wordnet.synsets(corpora.nouns(tmp_path, (line,)))
