"""Questions over any facts: one chain or none, hops counted by documents, nothing that answers itself."""

import string

from hypothesis import given
from hypothesis import strategies as st

from milepost.environments.search.chains import Shape, ask, clip, plain
from milepost.environments.search.corpus import Fact
from milepost.environments.search.questions import Hop

KIND, MEANT = Hop(relation="kind"), Hop(relation="gloss", back=True)
QUERIES = {KIND: "kind of {}", MEANT: "{}"}
ONE = Shape(name="kind", text="What is {} a kind of?", path=(KIND,))
TWO = Shape(name="kind-kind", text="What is the kind of {} a kind of?", path=(KIND, KIND))
SAID = Shape(name="gloss-kind", text="What is this a kind of: {}?", path=(MEANT, KIND))


def fact(subject, relation, value, document=None):
    return Fact(document=document or f"{relation}:{subject}", relation=relation, subject=subject, object=value)


OWL = (fact("owl", "kind", "raptor"), fact("raptor", "kind", "bird"), fact("owl", "gloss", "hunts by night"))


def test_a_chain_by_hand():
    asked = {one.id: one for one in ask(OWL, (ONE, TWO, SAID), QUERIES)}
    assert set(asked) == {"1hop-kind:owl", "1hop-kind:raptor", "2hop-kind-kind:owl", "2hop-gloss-kind:owl"}
    two = asked["2hop-kind-kind:owl"]
    assert (two.text, two.answer, two.hops) == ("What is the kind of owl a kind of?", "bird", 2)
    assert two.gold == ("kind:owl", "kind:raptor")
    assert two.plan == ("kind of owl", "kind of raptor")
    assert two.countries == ("owl", "raptor"), "the answer is a fact of the last"
    said = asked["2hop-gloss-kind:owl"]
    assert (said.text, said.answer) == ("What is this a kind of: hunts by night?", "raptor")
    assert said.plan == ("hunts by night", "kind of owl")


def test_two_facts_of_one_document_are_one_hop():
    same = [fact("owl", "kind", "raptor", "owl"), fact("owl", "gloss", "hunts by night", "owl")]
    (asked,) = ask(same, (SAID,), QUERIES)
    assert (asked.hops, asked.gold, asked.plan) == (1, ("owl",), ("hunts by night",))


def test_what_has_two_answers_is_not_asked():
    assert not list(ask((*OWL, fact("raptor", "kind", "hunter")), (TWO,), QUERIES))
    assert not list(ask((*OWL, fact("bat", "gloss", "hunts by night")), (SAID,), QUERIES))


def test_what_answers_itself_is_not_asked():
    assert not list(ask([fact("barn owl", "kind", "owl")], (ONE,), QUERIES))


def test_no_chain_comes_back_to_where_it_was():
    assert not list(ask([fact("a1", "kind", "b2"), fact("b2", "kind", "a1")], (TWO,), QUERIES))


@given(st.text(max_size=60))
def test_plain_text_is_ascii_on_one_line(text):
    found = plain(text)
    assert found.isascii()
    assert found == " ".join(found.split())
    assert plain(found) == found


@given(st.text(string.ascii_lowercase + " ", max_size=80), st.integers(5, 60))
def test_a_clipped_text_is_no_longer_than_asked(text, most):
    found = clip(text, most)
    assert len(found) <= max(most, 4)
    assert found == text or text.startswith(found.removesuffix(" ..."))
