"""Signals: which few of many stored conversations are worth reading, without a model."""

from milepost.curation.selection.keep import Keep
from milepost.curation.selection.rules import BySignals, Selection
from milepost.curation.signals.labels import Label
from milepost.recipe import Card, Curate

CARD = Card(
    title="Signals: behavioural markers on agent trajectories",
    paper="arXiv:2604.00356",
    year=2026,
    domains=("agent", "text"),
    job="curate",
    summary="Finds the stored conversations of an agent that are worth reading, in linear time and without a model.",
    parts={
        "labels": "25 kinds of signal in three layers, per message: phrases of users, repetition, failed and repeated "
        "calls, exhausted surroundings; severity of a group 0, 1, 2, 3 at 0, 1, 3, 5 signals",
        "selection": "sum over groups of weight x severity, highest first, ties by a hash; probabilities known",
        "sentinel": "a fifth of what is kept is drawn uniformly from the pool, so that rates can be estimated",
    },
    claims={
        "signals beat random picks, and the length rule": "tests/recipes/test_signals.py::"
        "test_yield_of_signals_above_length_above_random",
        "the sentinel sample estimates the rate of defects without bias": "tests/recipes/test_signals.py::"
        "test_sentinels_cover_the_rate_and_the_enriched_sample_does_not",
        "dragging is the length rule": "tests/curation/signals/test_interaction.py::test_dragging_is_exactly_ten_turns",
        "loops are those of the definition": "tests/curation/signals/test_loops.py::"
        "test_loops_are_those_of_the_definition",
        "places stay absolute in long conversations": "tests/curation/signals/test_flat.py::"
        "test_places_stay_absolute_after_the_cut",
        "one event counts once": "tests/curation/signals/test_results.py::test_one_event_counts_once",
        "known false alarms have low confidence": "tests/curation/signals/test_matching.py::test_known_false_alarms",
        "the published tests: 82 and 74 of 100 do not differ": "tests/curation/selection/test_yields.py::"
        "test_the_published_table",
        "nothing stored is changed": "tests/cli/test_triage.py::test_the_traces_are_only_read",
    },
    departs=(
        "no match by trigrams or word counts: two shared words ('customer service') fire there",
        "negated phrases, phrases with another object and words said in passing get a confidence that does not count",
        "a tool's answer gives one signal; the open implementation counts some answers as failure and as exhaustion",
        "of a tool's answer the first and last 300 characters are searched: what stands in the middle of data is data",
        "the composite score is unpublished: ours is stated, and its weights are a setting of the rule",
    ),
    advice=(
        "A score says what to look at, not how good it is: do not read an enriched yield as a rate of failures.",
        "Compare with the length rule; without=('dragging',) takes that rule out of the signals.",
        "Phrases are English. `milepost triage` does the same over files of any size.",
    ),
    bibtex="@misc{signals2026, title={Signals: Trajectory Sampling and Triage for Agentic Interactions}, "
    "author={Chen, Shuguang and Hafeez, Adil and Paracha, Salman}, year={2026}, eprint={2604.00356}, "
    "archivePrefix={arXiv}}",
)


def build(
    *,
    keep: float = 0.2,  # share of the conversations to keep, as an expectation
    sentinel: float = 0.2,  # share of what is kept that is drawn uniformly from all
    without: tuple[str, ...] = (),  # kinds of signal that do not count, such as "dragging"
    seed: int = 0,  # of the draws
) -> Curate:
    """Build the job; `without=("dragging",)` takes the length rule out of the signals."""
    rule = BySignals(without=without)
    return Curate(steps=(Label(), Keep(selection=Selection(rule=rule, keep=keep, sentinel=sentinel, seed=seed))))
