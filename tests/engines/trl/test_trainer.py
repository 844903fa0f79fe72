"""TRL's quick start with milepost's parts: trains on CPU, with the numbers of the local engine."""

from __future__ import annotations

import pytest
import torch
from trl import GRPOTrainer as Theirs

from milepost.columns import End
from milepost.credit.group import Normalised
from milepost.engines.trl import GRPOTrainer
from milepost.engines.trl.recipes import Parts
from milepost.engines.trl.trainer import below_roots, turns
from milepost.errors import MilepostError, ResumeError, SettingError
from milepost.forest import Forest
from milepost.policies.loading import EMBEDDED
from milepost.recipes import a_grae, vas
from milepost.rewards.combine import Scored
from milepost.rewards.function import Function
from tests.engines.trl.quick_start import WIDTH, WORDS, config, dataset, odd, trained

pytestmark = pytest.mark.trainers

RECIPES = {
    "a-grae": lambda: a_grae.build(width=WIDTH, accuracy="odd"),
    "a-grae smoothed": lambda: a_grae.build(width=WIDTH, accuracy="odd", keep=0.5),
    "vas": lambda: vas.build(width=WIDTH, refresh_every=0),
}


def weights(trainer):
    return torch.cat([value.detach().flatten() for value in trainer.model.parameters()])


def locally(forest: Forest, job, state=None) -> torch.Tensor:
    """Credit of the same samples as the local engine computes it, from its own reading of the reward."""
    bare = forest.without(*(n for n in forest.names if n.startswith(("reward.", "ok.", "reason.", "advantage"))))
    scored = Scored(rewards=(Function(source=odd),), weights=(1.0,))(bare, torch.arange(len(bare)))
    if hasattr(job.credit, "apply"):
        credited, state[0] = job.credit.apply(scored, state[0])
    else:
        credited = job.credit(scored)
    return credited["advantage"][credited.leaves()]


@pytest.mark.parametrize("name", RECIPES)
def test_quick_start_trains_with_the_numbers_of_the_local_engine(name, tmp_path):
    job, kept = RECIPES[name](), []
    trainer = trained(GRPOTrainer, tmp_path, recipe=job, on_forest=kept.append)
    start = Theirs(
        model=trainer.model.name_or_path, reward_funcs=odd, args=trainer.args, train_dataset=trainer.train_dataset
    )
    assert (weights(trainer) - weights(start)).abs().max() > 0
    assert len(kept) == len(trainer.outputs) == 2
    state = [job.credit.init()] if hasattr(job.credit, "init") else None
    for forest, output in zip(kept, trainer.outputs, strict=True):
        expected = locally(forest, job, state)
        assert expected.abs().max() > 0
        mask = output["completion_mask"].bool()
        assert (output["advantages"] - expected[:, None] * mask).abs().max() < 1e-6
        ids = [forest.ragged("tokens.id")[row].tolist() for row in forest.leaves().tolist()]
        assert ids == [row[keep].tolist() for row, keep in zip(output["completion_ids"], mask, strict=True)]


def test_with_trls_own_formula_it_is_trl(tmp_path):
    parts = Parts(credit=Normalised(ddof=1, eps=1e-4))
    ours = trained(GRPOTrainer, tmp_path / "ours", parts=parts, settings={"max_steps": 3})
    theirs = trained(Theirs, tmp_path / "theirs", settings={"max_steps": 3})
    for mine, their in zip(ours.outputs, theirs.outputs, strict=True):
        assert torch.equal(mine["completion_ids"], their["completion_ids"])
        wanted = their["advantages"][:, None] * their["completion_mask"]
        assert (mine["advantages"] - wanted).abs().max() < 1e-6
    assert (weights(ours) - weights(theirs)).abs().max() < 1e-6


def test_trap_prompts_arrive_repeated_and_contiguous(tmp_path):
    trainer = trained(GRPOTrainer, tmp_path, parts=Parts(credit=Normalised()), settings={"max_steps": 1})
    prompts = [row["prompt"] for row in trainer.inputs[0]]
    assert [prompts[at : at + WIDTH] for at in (0, WIDTH)] == [[prompts[0]] * WIDTH, [prompts[WIDTH]] * WIDTH]


def half(completion_ids, **_columns):
    """No verdict for the first two of each group: the others are compared with each other."""
    return [None if place % WIDTH < 2 else float(place % WIDTH == 2) for place in range(len(completion_ids))]


def test_trap_groups_of_a_fixed_size_may_hold_rows_that_do_not_count(tmp_path):
    parts = Parts(credit=Normalised(ddof=1, eps=1e-4))
    trainer = trained(GRPOTrainer, tmp_path, parts=parts, reward_funcs=half, settings={"max_steps": 1})
    output = trainer.outputs[0]
    credit = output["advantages"][:, 0].view(-1, WIDTH)
    assert torch.allclose(credit, torch.tensor([[0.0, 0.0, 0.5**0.5, -(0.5**0.5)]] * 2), atol=1e-3)
    counted = (output["completion_mask"] * output["tool_mask"]).view(2, WIDTH, -1)
    assert counted[:, :2].sum() == 0
    assert counted[:, 2:].sum() == output["num_items_in_batch"] > 0


IN_THE_MIDDLE = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}


def answers(trainer):
    return [[row["prompt"] for row in generation] for generation in trainer.inputs]


def test_trap_a_resumed_choice_draws_what_it_would_have_drawn(tmp_path):
    job = vas.build(width=WIDTH, refresh_every=0, weighted_share=1.0)
    whole = trained(GRPOTrainer, tmp_path, recipe=job, settings=IN_THE_MIDDLE)
    assert len(answers(whole)) == 4
    rest = trained(GRPOTrainer, tmp_path, recipe=job, settings=IN_THE_MIDDLE, resume=str(tmp_path / "checkpoint-2"))
    assert answers(rest) == answers(whole)[2:]
    for mine, first in zip(rest.outputs, whole.outputs[2:], strict=True):
        assert torch.equal(mine["completion_ids"], first["completion_ids"])
        assert torch.equal(mine["advantages"], first["advantages"])
    assert torch.equal(weights(rest), weights(whole))
    with pytest.raises(ResumeError, match="another choice of tasks"):
        trained(
            GRPOTrainer,
            tmp_path,
            parts=Parts(credit=Normalised()),
            settings=IN_THE_MIDDLE,
            resume=str(tmp_path / "checkpoint-2"),
        )


def test_choice_follows_the_rewards(tmp_path):
    kept: list[Forest] = []

    def one_word(prompts, completion_ids, **_columns):
        return [float(sum(ids) % 2) if WORDS[0] in p else 0.0 for p, ids in zip(prompts, completion_ids, strict=True)]

    job = vas.build(width=WIDTH, refresh_every=0, weighted_share=0.5, diversity_weight=0.0)
    trained(GRPOTrainer, tmp_path, recipe=job, reward_funcs=one_word, on_forest=kept.append, settings={"max_steps": 24})
    asked = [text for forest in kept for text in forest.text("text") if text and text.startswith("Spell")]
    counts = [sum(word in text for text in asked) for word in WORDS]
    assert counts[0] == max(counts) > 2 * min(counts)
    draws = [forest["draw"][forest.roots()].tolist() for forest in kept]
    assert max(max(one) for one in draws) == counts[0] - 1


def test_recipes_bring_their_rewards_and_weights(tmp_path):
    job = a_grae.build(width=WIDTH)
    kept: list[Forest] = []
    trainer = trained(
        GRPOTrainer, tmp_path, recipe=job, reward_funcs=None, on_forest=kept.append, settings={"max_steps": 1}
    )
    assert trainer.reward_func_names == ["outcome", "format"]
    assert trainer.reward_weights.tolist() == pytest.approx(list(job.weights))
    leaves = kept[0].leaves()
    total = 0.9 * kept[0]["reward.outcome"] + 0.1 * kept[0]["reward.format"]
    assert torch.allclose(kept[0]["reward.total"][leaves], total[leaves])


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({}, "either recipe"),
        ({"recipe": a_grae.build(width=8, accuracy="odd")}, "build it with width=4"),
        ({"recipe": a_grae.build(width=WIDTH)}, r"reads 'reward\.outcome'"),
        ({"recipe": vas.build(width=WIDTH)}, "refresh_every=0"),
        ({"recipe": a_grae}, r"pass what `a_grae\.build"),
        ({"recipe": "a-grae", "reward_funcs": None}, r"pass what `a_grae\.build"),
    ],
)
def test_what_cannot_run_is_told_at_once(named, message, tmp_path):
    with pytest.raises(SettingError, match=message):
        trained(GRPOTrainer, tmp_path, **named)


def test_a_recipe_that_was_not_built_is_told_before_anything_is_loaded():
    for named in ({}, {"environment": object()}):
        with pytest.raises(SettingError, match=r"pass what `a_grae\.build"):
            GRPOTrainer(recipe="a-grae", **named)


def test_a_choice_of_tasks_and_a_stream_of_rows_are_refused(tmp_path):
    stream = dataset().to_iterable_dataset()
    named = {"model": str(EMBEDDED), "reward_funcs": odd, "train_dataset": stream, "args": config(tmp_path)}
    with pytest.raises(SettingError, match=r"a stream \(IterableDataset\).*streaming=False"):
        GRPOTrainer(recipe=vas.build(width=WIDTH, refresh_every=0), **named)
    assert GRPOTrainer(parts=Parts(credit=Normalised()), **named).milepost.sampler is None


def test_groups_of_two_prompts_are_refused(tmp_path):
    trainer = trained(GRPOTrainer, tmp_path, parts=Parts(credit=Normalised()), settings={"max_steps": 1})
    samples = trainer._local(trainer.inputs[0], trainer.outputs[0])
    with pytest.raises(MilepostError, match="one after the other"):
        trainer._grouped(samples[1:] + samples[:1])


def test_turns():
    assert turns((True, True)) == (2,)
    assert turns((True, False, False, True, False)) == (3, 2)
    assert turns((False, True, False, True)) == (3, 1)
    assert turns((False, False)) == (2,)
    assert turns((True,)) == (1,)


def test_below_roots():
    forest = Forest.of([-1, 0, 1, 0, -1, 4], {"end": [int(End.OPEN)] * 6})
    lines = below_roots(forest)
    assert [lines[at].tolist() for at in range(len(lines))] == [[1, 2], [3], [5]]
