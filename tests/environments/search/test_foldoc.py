"""The dictionary of computing: its files read as dictd has them, its links followed, every answer in its document."""

import pytest

from milepost.environments.search import foldoc
from milepost.environments.search.collection import Collection
from milepost.errors import FormatError, MissingExtra
from tests.environments.search import corpora


def world(folder):
    known = foldoc.entries(folder)
    return known, Collection(name="foldoc", documents=foldoc.documents(known), questions=foldoc.questions(known))


def test_entries_by_hand(tmp_path):
    first, wheel, reference, chain, bicycle = foldoc.entries(corpora.dictionary(tmp_path))
    assert (first.term, first.fields) == ("Sprocket lathe", ("tool", "metal"))
    assert first.text == "A lathe that cuts the teeth of the {toothed wheel} singly."
    assert (wheel.term, wheel.fields) == ("sprocket wheel", ("machine",))
    assert (reference.text, reference.fields) == ("{sprocket wheel}", ())
    assert chain.text.startswith("(CD) What a {sprocket wheel} pulls")
    assert bicycle.text.endswith("cafe tables."), "in ASCII"


def test_questions_by_hand(tmp_path):
    _, made = world(corpora.dictionary(tmp_path))
    asked = {one.id: one for one in made.questions}
    assert asked["1hop-stands:toothed wheel"].answer == "sprocket wheel"
    assert asked["2hop-stands-field:toothed wheel"].answer == "machine"
    assert asked["2hop-link-field:chain drive"].gold == ("chain drive", "sprocket wheel")
    deep = asked["3hop-link-link-field:bicycle"]
    assert (deep.answer, deep.gold) == ("machine", ("bicycle", "chain drive", "sprocket wheel"))
    meant = asked["1hop-definition:chain drive"]
    assert meant.text == "Which term is defined as: What a sprocket wheel pulls along, link by link, round and round?"
    assert "1hop-field:Sprocket lathe" not in asked, "it is filed under two fields"
    assert "1hop-definition:Sprocket lathe" in asked


def test_every_answer_follows_from_the_files(tmp_path):
    """Those of the system's package where it is installed."""
    known, made = world(corpora.installed(foldoc.FOLDER, corpora.dictionary(tmp_path)))
    corpora.check(made, foldoc.facts(known))
    assert corpora.check_play(made) > 0


def test_what_is_not_there_is_said_with_the_way_to_get_it(tmp_path):
    with pytest.raises(MissingExtra, match="apt install dict-foldoc"):
        foldoc.entries(tmp_path)


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    corpora.dictionary(tmp_path)
    index = tmp_path / "foldoc.index"
    index.write_text(index.read_text() + "zebra\tAAAAZZ\tB\n")
    with pytest.raises(FormatError, match="beyond the end"):
        foldoc.entries(tmp_path)
    index.write_text("zebra\t!\tB\n")
    with pytest.raises(FormatError, match="base 64"):
        foldoc.entries(tmp_path)
