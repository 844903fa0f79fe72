"""Branching samplers and learned rewards inside TRL: trained on CPU, with the numbers of the local engine."""

from __future__ import annotations

import pytest
import torch
from datasets import Dataset

from milepost import keys
from milepost.credit.group import Normalised
from milepost.engines.beside.learned import Beside
from milepost.engines.settings import UpdateSettings
from milepost.engines.trl import GRPOTrainer
from milepost.engines.trl.recipes import Parts
from milepost.engines.trl.rollouts import rows_for
from milepost.engines.trl.trainer import lines_of
from milepost.environments.search.environment import Limits, Search
from milepost.errors import SettingError
from milepost.policies.decoding import Decoding
from milepost.policies.loading import EMBEDDED, EMBEDDED_SEARCH, load
from milepost.recipes import oprl, slate
from milepost.rewards.combine import Scored
from tests.engines.trl.quick_start import WIDTH, config, odd, trained

pytestmark = pytest.mark.trainers
CANDIDATES, TURNS = 2, 3
PLACES = 5
"""Leaves of a tree: one at each of two steps that was not chosen, two at the last; and one line to pad."""


def searched(out, **settings):
    """SLATE in the world of searches, two steps."""
    environment = Search(train_size=8, hops=(1, 2), limits=Limits(turns=TURNS))
    kept, outputs = [], []

    class Watched(GRPOTrainer):
        def _generate_and_score_completions(self, inputs):
            output = super()._generate_and_score_completions(inputs)
            outputs.append(dict(output))
            return output

    small = {"num_generations": PLACES, "per_device_train_batch_size": 2 * PLACES, "temperature": 1.0}
    trainer = Watched(
        model=str(EMBEDDED_SEARCH),
        train_dataset=Dataset.from_list(rows_for(environment)),
        args=config(out, **{**small, "max_completion_length": 48, **settings}),
        recipe=slate.build(width=CANDIDATES),
        environment=environment,
        on_forest=kept.append,
    )
    before = torch.cat([value.detach().clone().flatten() for value in trainer.model.parameters()])
    trainer.train()
    after = torch.cat([value.detach().flatten() for value in trainer.model.parameters()])
    return trainer, kept, outputs, float((before - after).abs().max())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return searched(tmp_path_factory.mktemp("slate"))


def test_slates_step_credit_reaches_the_loss(run):
    trainer, kept, outputs, moved = run
    assert moved > 0
    assert trainer.model.config._attn_implementation == "sdpa"
    job = slate.build(width=CANDIDATES)
    for forest, output in zip(kept, outputs, strict=True):
        bare = forest.without(*(n for n in forest.names if n.startswith(("reward.", "ok.", "reason.", "advantage"))))
        again = job.credit(Scored(rewards=job.rewards, weights=job.weights)(bare, torch.arange(len(bare))))
        lines = lines_of(forest, PLACES)
        seen = {}
        for number in range(len(lines)):
            place = 0
            for row in lines[number].tolist():
                train = forest.ragged("tokens.train")[row]
                told = output["advantages"][number, place : place + len(train)]
                if row not in seen:
                    seen[row] = told
                    wanted = again["advantage"][row] * train if again.valid("advantage")[row] else 0 * train
                    assert (told - wanted).abs().max() < 1e-6
                else:
                    assert told.abs().max() == 0
                place += len(train)
        assert len(seen) == len(forest) - len(forest.roots())


def test_every_step_counts_once_and_padding_never(run):
    _, kept, outputs, _ = run
    for forest, output in zip(kept, outputs, strict=True):
        counted = (output["completion_mask"] * output["tool_mask"]).sum()
        credited = forest.valid("advantage")[forest.token_row] & forest["tokens.train"]
        assert counted == output["num_items_in_batch"] == credited.sum() > 0
        empty = [number for number in range(2 * PLACES) if len(lines_of(forest, PLACES)[number]) == 0]
        assert empty
        assert (output["completion_mask"] * output["tool_mask"])[empty].sum() == 0


def test_siblings_share_their_prefix(run):
    _, kept, outputs, _ = run
    forest, output = kept[0], outputs[0]
    lines = lines_of(forest, PLACES)
    for number in range(len(lines)):
        rows = lines[number].tolist()
        ids = [one for row in rows for one in forest.ragged("tokens.id")[row].tolist()]
        if ids:
            assert output["completion_ids"][number, : len(ids)].tolist() == ids
            logged = [one for row in rows for one in forest.ragged("tokens.log_prob")[row].tolist()]
            kept_log_prob = output["sampling_per_token_logps"][number, : len(ids)].tolist()
            assert kept_log_prob == pytest.approx(logged, abs=1e-6)


def test_a_run_that_was_stopped_goes_on(tmp_path):
    settings = {"max_steps": 3, "save_strategy": "steps", "save_steps": 2}
    whole = searched(tmp_path / "a", **settings)
    again = GRPOTrainer(
        model=str(EMBEDDED_SEARCH),
        train_dataset=whole[0].train_dataset,
        args=whole[0].args,
        recipe=slate.build(width=CANDIDATES),
        environment=Search(train_size=8, hops=(1, 2), limits=Limits(turns=TURNS)),
        on_forest=(rest := []).append,
    )
    again.train(resume_from_checkpoint=str(tmp_path / "a" / "checkpoint-2"))
    assert len(rest) == 1
    assert rest[0]["tokens.id"].tolist() == whole[1][2]["tokens.id"].tolist()
    assert again.milepost.rollouts.progress == whole[0].milepost.rollouts.progress


def test_too_few_places(tmp_path):
    with pytest.raises(SettingError, match="leaves, and TRL has num_generations=2"):
        searched(tmp_path, num_generations=2, per_device_train_batch_size=4, max_steps=1)


def test_an_environment_needs_a_recipe_and_its_rewards(tmp_path):
    for named in ({"parts": Parts(credit=Normalised())}, {"recipe": slate.build(), "reward_funcs": odd}):
        with pytest.raises(SettingError, match="goes with recipe"):
            GRPOTrainer(model=str(EMBEDDED), environment=Search(), **named)


def test_oprl_learns_its_reward_beside_trl(tmp_path):
    job, kept = oprl.build(width=WIDTH, rate=1e-3), []
    settings = {"max_steps": 3, "save_strategy": "steps", "save_steps": 2, "beta": 0.0}
    trainer = trained(GRPOTrainer, tmp_path, recipe=job, reward_funcs=outcome, on_forest=kept.append, settings=settings)
    local = load("embedded", decoding=Decoding(temperature=3.0))
    beside = Beside.of(job.learned, local, UpdateSettings())
    for step, (forest, output) in enumerate(zip(kept, trainer.outputs, strict=True)):
        names = [n for n in forest.names if "implicit" in n or n == "advantage"]
        taught = beside(forest.without(*names), keys.fold(keys.root(trainer.args.seed), "trl", "learned", step))
        wanted = job.credit(taught.forest)["advantage"][forest.leaves()]
        assert wanted.abs().max() > 0
        mask = output["completion_mask"].bool()
        assert (output["advantages"] - wanted[:, None] * mask).abs().max() < 1e-6
    assert beside.updater.policy.version > 0
    rest = []
    again = trained(
        GRPOTrainer, tmp_path, recipe=job, reward_funcs=outcome, on_forest=rest.append, settings=settings,
        resume=str(tmp_path / "checkpoint-2"),
    )  # fmt: skip
    mine, theirs = again.milepost.beside.tensors(), trainer.milepost.beside.tensors()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert torch.equal(rest[0]["reward.implicit"].nan_to_num(), kept[2]["reward.implicit"].nan_to_num())


def outcome(completion_ids, **columns):
    """The same reward under the name that the recipe's credit reads."""
    return odd(completion_ids, **columns)
