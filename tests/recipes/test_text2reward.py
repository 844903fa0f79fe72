"""Text2Reward: what must hold, with programs of the published form and the real arm."""

from functools import cache
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from milepost import keys, recipe
from milepost.environments.manipulation.arm import LinearStage, expert, played
from milepost.environments.manipulation.cards import card, sentence
from milepost.environments.manipulation.probes import Probes
from milepost.evaluation.written.experiment import Study
from milepost.jail.levels import opened
from milepost.policies.search.cross_entropy import CrossEntropy
from milepost.programs.binding import bound
from milepost.programs.card import Attribute, Entity, EnvironmentCard
from milepost.programs.program import Limits
from milepost.programs.screening import refused
from milepost.rewards.written import scoring
from milepost.rewards.written.prompt import Round
from milepost.rewards.written.source import Source
from milepost.rewards.written.template import Template
from milepost.rewards.written.writing import Writer
from milepost.testing import check_recipe

KEY = keys.root(0)
HEAD = "import numpy as np\nimport math\n\ndef compute_dense_reward(self, action):\n    "
HOSTILE = (
    "for i in range(10 ** 12): x = i\n    return 0.0", "return np.zeros(10 ** 12).sum()",
    "x = [0] * 10 ** 10\n    return len(x)", "return sum(i for i in range(10 ** 13))", "return float('nan')",
    "return np.inf", "return compute_dense_reward(self, action)", "return [0.0] * 10",
)  # fmt: skip


@cache
def probes(task):
    return Probes(count=12, steps=100)(task, KEY)


def writer(*terms):
    return Writer(chat=Template(terms=terms), jail=opened("process"))


@pytest.mark.parametrize("body", HOSTILE)
def test_hostile_programs_are_refused(body):
    """What screening cannot see ends in the jail; 36 others are refused unread (tests/programs/test_screening.py)."""
    assert refused(HEAD + body, card()) == ()
    jail = opened("process", limits=Limits(timeout_s=0.3, memory_bytes=64 << 20))
    (found,) = scoring.scored(bound(HEAD + body, card()), jail, [(torch.zeros(2, 39), torch.zeros(2, 4))])
    assert found.clamped == 2
    assert (found.value == scoring.WORST).all()


def test_card_truth():
    """The published card says that the gripper's opening is in [-1, 1]: a test for "> -1" is then always true."""
    seen = [row for task in ("drawer-close", "handle-press") for one in probes(task) for row in one.lift.seen.tolist()]
    assert card().broken(seen) == ()
    (said,) = card(openness=(-1.0, 1.0)).broken(seen)
    assert said.startswith("robot.gripper_openness only took")


def judged(program, lifts):
    values = scoring.scored(program, opened("process"), [(one.seen, one.taken) for one in lifts])
    return torch.stack([one.value.mean() for one in values])


def test_auc_is_necessary_and_not_sufficient():
    """A program of the published form ranks the probes; its opposite ranks them the other way round; one without a goal
    does nearly as well as long as no near miss is among them, and still teaches nothing but to go there.
    """
    task = "drawer-close"
    lifts = [one.lift for one in probes(task)]
    good = torch.tensor([one.done for one in lifts])
    far = torch.tensor([one.kind != "near miss" for one in probes(task)])
    sample = (lifts[0].seen, lifts[0].taken)
    form, goalless = (
        writer(*terms).write(card(), sentence(task), sample)
        for terms in (("reach", "goal", "near", "effort"), ("reach", "effort"))
    )
    found, blind = judged(form.program, lifts), judged(goalless.program, lifts)
    assert scoring.auc(found, good) > 0.9
    assert scoring.auc(-found, good) < 0.1
    assert scoring.auc(blind[far], good[far]) > 0.9
    assert scoring.auc(blind, good) >= 0.6
    assert scoring.auc(blind, good) < scoring.auc(blind[far], good[far]) + 1e-9


def test_a_constant_matters_where_episodes_end():
    """Equal lengths: scale and constant keep every ranking. Where a success ends an episode, a constant turns it."""
    stream = keys.generator(KEY)
    rewards = stream.normal(size=(20, 30))
    total = rewards.sum(1)
    assert (np.argsort(total) == np.argsort((3 * rewards + 2).sum(1))).all()
    early, late = [-1.0] * 5, [-1.0] * 30  # the same cost a step; the early one succeeded
    assert sum(early) > sum(late)
    assert sum(one + 2 for one in early) < sum(one + 2 for one in late)


def test_a_potential_keeps_the_best_policy_and_a_raw_bonus_does_not():
    """A random problem of 20 states and 3 actions, by value iteration: F = gamma phi(s') - phi(s) against phi(s')."""
    stream = keys.generator(keys.fold(KEY, "problem"))
    chance = stream.dirichlet(np.ones(20) * 0.3, size=(20, 3))
    reward, phi, gamma = stream.normal(size=(20, 3)), 3 * stream.normal(size=20), 0.9

    def best(gained):
        value = np.zeros(20)
        for _ in range(600):
            value = (gained + gamma * chance @ value).max(1)
        return (gained + gamma * chance @ value).argmax(1)

    plain = best(reward)
    assert (best(reward + gamma * chance @ phi - phi[:, None]) == plain).all()
    assert (best(reward + chance @ phi) != plain).any()


def study(task, chat, feedback=None):
    return Study(
        rewards=Source(
            writer=Writer(chat=chat, jail=opened("process")), card=card(), sentence=sentence, feedback=feedback or {}
        ),
        probes=lambda name, key: probes(name)[:6],
        stage=LinearStage(steps=80),
        climb=CrossEntropy(generations=5, population=10, elite=3),
        episodes=5,
    )


@cache
def drawer():
    first = Round(source="reward = -distance", behaviour="The hand rests at the handle.", wish="add the goal term")
    poor = Template(terms=("effort",))
    return study("drawer-close", poor, {"after feedback": first})("drawer-close", KEY).numbers


def test_a_round_of_feedback():
    """A program of effort alone teaches to rest; the wish adds the goal, and the drawer is shut."""
    gain = drawer()["after feedback"]["success after training"] - drawer()["written"]["success after training"]
    assert gain >= 0.5


@pytest.mark.statistical
def test_a_dense_program_trains():
    """Fixed key; the program is within 15 points of the environment's own reward."""
    found = drawer()
    dense = found["environment's reward"]["success after training"]
    assert found["after feedback"]["success after training"] >= dense - 0.15


BACKWARD = """
def compute_dense_reward(self, action):
    return -self.torso.speed - 0.05 * float(np.square(action).sum())
"""
FAR_M = 3.0
"""A success: so far backward within 100 steps, 5 s; no program is told of it."""


def runner():
    """What a program may read of Gymnasium's HalfCheetah."""
    angle = Attribute(name="angle", start=1, stop=2, about="pitch, radians", low=-20, high=20)
    speed = Attribute(name="speed", start=8, stop=9, about="forward, metres per second", low=-20, high=20)
    return EnvironmentCard(name="runner", entities=(Entity(name="torso", about="Trunk.", attributes=(angle, speed)),))


def run(env, numbers, key):
    """An episode of a linear rule, cut off by tanh: what was seen, done and paid, and how far it came."""
    rule = numbers.double().numpy().reshape(6, -1)
    state, _ = env.reset(seed=keys.seed_of(key))
    seen, taken, paid, place = [], [], 0.0, 0.0
    for _ in range(100):
        taken.append(np.tanh(rule[:, :-1] @ state + rule[:, -1]))
        state, reward, _, _, info = env.step(taken[-1].astype(np.float32))
        seen.append(state)
        paid, place = paid + reward, info["x_position"]
    return torch.from_numpy(np.stack(seen)).float(), torch.from_numpy(np.stack(taken)).float(), paid, place


def test_a_program_teaches_to_run_backward(record_property):
    """Locomotion without an expert: HalfCheetah, linear rules of 108 numbers, 8 generations of 16 episodes."""
    env, program = gymnasium.make("HalfCheetah-v5"), bound(BACKWARD, runner())
    assert refused(BACKWARD, runner()) == ()
    jail = opened("process")

    def by_program(episodes):
        return torch.stack([one.value.sum() for one in scoring.scored(program, jail, [(e[0], e[1]) for e in episodes])])

    def by_environment(episodes):
        return torch.tensor([e[2] for e in episodes])

    share = {}
    for name, judge in (("program", by_program), ("environment", by_environment)):
        climb = CrossEntropy(generations=8, population=16)
        found = climb(lambda rules, own, judge=judge: judge([run(env, one, own) for one in rules]), 6 * 18, KEY)
        places = [run(env, found.best, keys.fold(KEY, "try", number))[3] for number in range(10)]
        share[name] = float(sum(place < -FAR_M for place in places) / len(places))
    record_property("success", share)
    assert share["program"] > 0.9
    assert share["environment"] == 0


def test_the_contract_of_a_recipe():
    assert "settings" in check_recipe("text2reward", tests=Path(__file__).parents[1])


def test_the_job():
    job = recipe.builder("text2reward")(tasks=("reach",), generations=3)
    assert job.tasks == ("reach",)
    assert job.experiment.climb.generations == 3
    assert job.experiment.rewards.writer.jail.level == "process"
    found = played("reach", expert("reach"), 60, KEY)
    assert found.done
