import json

import pytest
import torch

from milepost import storage
from milepost.columns import End
from milepost.forest import Forest
from milepost.report import samples
from milepost.report.stored import groups, steps
from tests.report import worlds


def stored(forest, folder):
    storage.write(forest, folder)
    return steps.read(folder)


def chosen(found):
    return {why: choice.root for choice in samples.choose(found) for why in choice.why}


def group(root, *rewards):
    return groups.Group(root=root, leaves=tuple(range(len(rewards))), rewards=rewards, spread=groups.spread(rewards))


def test_choice_by_hand():
    found = [group(0, 1, 1), group(1, 0, 1), group(2, 0.1, 0), group(3, 0.9, 1), group(4, None, None)]
    assert chosen(found) == {"contested": 1, "best": 3, "worst": 2, "dead": 0, "failed": 4}


def test_a_group_is_named_once():
    found = [group(0, 0, 1), group(1, 0.5, 0.5)]
    assert samples.choose(found) == (
        samples.Choice(root=0, why=("contested", "best", "worst")),
        samples.Choice(root=1, why=("dead",)),
    )


def test_one_tree_and_no_tree():
    assert samples.choose([group(7, 0, 1)]) == (samples.Choice(root=7, why=("only tree",)),)
    assert samples.choose([]) == ()
    unscored = [group(0), group(1)]
    assert samples.choose(unscored) == (samples.Choice(root=0, why=("first",)),)


def taken(found, root=0, **more):
    return samples.sample(
        found, samples.Choice(root=root, why=()), step=1, **({"scale": 1.0, "per_character": True} | more)
    )


def test_flat_answers_come_best_first(tmp_path):
    found = stored(worlds.answers(6, 12, fail=0.2), tmp_path)
    one = taken(found)
    credit = [branch.views[0].credit for branch in one.trunk.branches]
    known = [c for c in credit if c is not None]
    assert one.trunk.level
    assert known == sorted(known, reverse=True)
    assert credit[: len(known)] == known


def test_every_step_of_a_tree_is_shown_once(tmp_path):
    found = stored(worlds.tree(), tmp_path)

    def rows(branch):
        return [view.row for view in branch.views] + [row for below in branch.branches for row in rows(below)]

    shown = rows(taken(found).trunk)
    assert sorted(shown) == list(range(1, len(found)))


def test_long_chains_are_cut_with_their_end_kept(tmp_path):
    one = taken(stored(Forest.of([-1, *range(300)]), tmp_path))
    (chain,) = one.trunk.branches
    assert len(chain.views) == samples.MOST_CHAIN
    assert chain.cut == 300 - samples.MOST_CHAIN
    assert chain.views[-1].row == 300


def test_many_siblings_are_cut_and_counted(tmp_path):
    one = taken(stored(Forest.of([-1, *[0] * 40]), tmp_path))
    assert (len(one.trunk.branches), one.trunk.hidden) == (samples.MOST_CHILDREN, 40 - samples.MOST_CHILDREN)


def test_deep_branching_ends(tmp_path):
    parent, at = [-1], 0
    for _ in range(400):
        parent += [at, at]
        at = len(parent) - 1
    one = taken(stored(Forest.of(parent), tmp_path))
    depth, branch = 0, one.trunk
    while branch.branches:
        depth, branch = depth + 1, branch.branches[-1]
    assert depth <= samples.MOST_DEPTH
    assert branch.hidden == 2


def test_characters_and_tokens_are_matched_only_where_they_agree(tmp_path):
    found = stored(worlds.answers(6, 12), tmp_path)
    view = taken(found).trunk.branches[0].views[0]
    assert "".join(token.text for token in view.tokens) == view.text.head
    assert len(view.strip) == len(view.text.head)
    assert taken(found, per_character=False).trunk.branches[0].views[0].tokens == ()


def test_reasons_and_facts(tmp_path):
    found = stored(worlds.answers(6, 12, fail=1.0), tmp_path)
    view = taken(found).trunk.branches[0].views[0]
    scores = {score.name: score for score in view.scores}
    assert scores["outcome"].value is None
    assert scores["outcome"].reason.startswith("reward_")
    assert scores["format"].reason == ""
    assert view.facts[0].startswith("log-prob −")
    assert view.facts[-2:] == ("1 model call", "2 reward calls")


def test_held_out_answers_say_right_or_wrong(tmp_path):
    found = stored(worlds.answers(6, 12, fail=0.0).without("advantage"), tmp_path)
    labels = {branch.views[0].label for root in found.roots for branch in taken(found, root).trunk.branches}
    assert labels == {"right", "wrong"}


@pytest.mark.parametrize(
    ("record", "prompt"),
    [('{"prompt": "ask"}', "ask"), ("{", ""), ("[1]", ""), ('{"prompt": 3}', ""), (None, "")],
)
def test_prompt_from_the_record(tmp_path, record, prompt):
    assert samples.prompt(stored(Forest.of([-1], {"record": [record]}), tmp_path), 0) == prompt


def test_arithmetic_explains_the_first_branching(tmp_path):
    found = stored(worlds.tree(), tmp_path)
    one = taken(found)
    assert one.compared == found.children[0]
    assert one.arithmetic.found
    lines = [view.line for branch in one.trunk.branches for view in branch.views[:1]]
    assert [line.credit for line in lines] == [found.number("advantage", row) for row in found.children[0]]


def test_long_texts_are_cut(tmp_path):
    long = json.dumps(list(range(5000)))
    found = stored(Forest.of([-1, 0], {"text": [long, long], "call": [None, long]}), tmp_path)
    one = taken(found)
    assert one.prompt.omitted == len(long) - samples.MOST_CHARACTERS
    assert one.trunk.branches[0].views[0].call.omitted > 0


def test_an_unscored_tree_has_no_arithmetic(tmp_path):
    one = taken(stored(Forest.of([-1, 0, 0], {"text": ["ask", "a", "b"]}), tmp_path))
    assert one.compared == ()
    assert [branch.views[0].line for branch in one.trunk.branches] == [None, None]


def test_a_tree_whose_steps_are_judged_is_explained_by_their_own_rewards(tmp_path):
    nan = None
    forest = Forest.of(
        [-1, 0, 0, 2, 2],  # two candidates, the second is executed; then two answers
        {
            "reward.total": [nan, 1.0, 0.0, -1.0, -1.0],
            "ok.total": [False, True, True, True, True],
            "reason.total": [None] * 5,
            "reward.outcome": [nan, nan, nan, 1.0, nan],
            "ok.outcome": [False, False, False, True, False],
            "reason.outcome": [None] * 5,
            "advantage": [0.0, 0.5, -0.5, 0.0, 0.0],
            "end": [int(one) for one in (End.OPEN, End.PRUNED, End.OPEN, End.TERMINATED, End.PRUNED)],
            "task": ["t:1"] + [None] * 4,
        },
    )
    read = stored(forest, tmp_path)
    (found,) = groups.groups(read, "total")
    assert not found.dead, "all answers are equal, and the first choice still taught something"
    shown = samples.sample(read, samples.Choice(root=0, why=()), step=1, scale=1.0, per_character=False)
    assert shown.arithmetic.found
    assert [line.reward for line in shown.arithmetic.lines] == [1.0, 0.0]
    pruned = shown.trunk.branches[0].views[0]
    assert [score.name for score in pruned.scores] == ["total"], "a reward that was never asked for did not fail"


def test_a_noisy_latent_has_what_it_leads_to_beside_it(tmp_path):
    """The first noise shows its completion too; the finished image is one picture."""
    latent = torch.zeros(3, 8, 8)
    forest = Forest.of(
        [-1, 0, 1], {"latent": latent, "completion": latent + 0.5, "time": [None, 1.0, 0.0], "text": [None] * 3}
    )
    views = taken(stored(forest, tmp_path)).trunk.branches[0].views
    assert [str(view.picture).count("<img") for view in views] == [2, 1]
    assert "completion at time 1" in str(views[0].picture)
