"""Search from the task to trained weights: the embedded model knows it imperfectly, and a step of GRPO goes through."""

import torch

from milepost import keys, storage
from milepost.columns import End, Role
from milepost.engines import local
from milepost.engines.settings import PolicySettings, RunSettings, TaskSettings, UpdateSettings
from milepost.environments.search.environment import Limits, Search
from milepost.policies import loading
from milepost.policies.decoding import Decoding
from milepost.rewards import guard
from milepost.rewards.outcome import Solved
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent

WORLD = Search(train_size=0, held_out_size=36)


def rollout(policy, world=WORLD, width=4):
    return grow(
        [Draw(task=task) for task in world.held_out()],
        policy=policy,
        environment=world,
        sampler=Independent(width=width),
        key=keys.root(3),
    )


def test_the_embedded_model_searches_carelessly_but_knows_how():
    policy = loading.load("embedded-search", decoding=Decoding(max_tokens=72, stop=WORLD.stop))
    solved = {}
    for name, acting, width in (("sampled", policy, 4), ("greedy", policy.greedy(), 1)):
        forest = guard.score(Solved(), rollout(acting, width=width))
        solved[name] = float(forest["reward.solved"][forest.leaves()].mean())
    assert 0.2 < solved["sampled"] < 0.5 < solved["greedy"], solved
    lengths = forest.ragged("tokens.id").lengths
    assert max(int(lengths[forest.path(leaf)].sum()) for leaf in forest.leaves().tolist()) < 1024


def test_what_documents_say_is_never_trained_and_ends_are_told():
    policy = loading.load("embedded-search", decoding=Decoding(max_tokens=72, stop=WORLD.stop))
    world = Search(train_size=0, held_out_size=9, limits=Limits(turns=2))
    forest = rollout(policy, world)
    role = forest["tokens.role"]
    assert torch.equal(forest["tokens.train"], role == int(Role.POLICY))
    assert (role == int(Role.OBSERVATION)).any()
    ends = set(forest["end"][forest.leaves()].tolist())
    assert int(End.TURN_LIMIT) in ends
    assert int(End.TERMINATED) in ends
    rows = (forest.parent >= 0).nonzero().squeeze(1)
    stored = forest["tokens.log_prob"][forest.token_offsets[len(forest.roots())] :]
    fresh = policy.log_prob(forest, rows).detach()
    own = role[forest.token_offsets[len(forest.roots())] :] == int(Role.POLICY)
    torch.testing.assert_close(fresh[own], stored[own], atol=1e-4, rtol=1e-3)


def test_a_run_goes_through_and_its_forests_are_stored(tmp_path):
    settings = RunSettings(
        recipe="grpo",
        settings={"width": 4},
        tasks=TaskSettings(names=("search_1hop",), train=12, held_out=3),
        policy=PolicySettings(max_tokens=72),
        update=UpdateSettings(steps=1, tasks_per_step=4),
    )
    done = local.run(settings, tmp_path / "run", on_event=lambda event: None)
    assert done.steps_done == 1
    assert done.cost["environment_steps"] > 12
    forest = storage.read(tmp_path / "run" / "forests" / "step-000001")
    assert {"call", "result", "extra_text.documents", "extra.gold_recall"} <= set(forest.names)
    assert forest.text("label.family")[0] == "search_1hop"
