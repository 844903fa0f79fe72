"""A particle filter: resampling by hand and on average, its weights, its limit."""

import pytest
import torch

from milepost import keys
from milepost.columns import End
from milepost.errors import ColumnError, SettingError
from milepost.forest import Forest
from milepost.sampling.independent import Independent
from milepost.sampling.search_tree.drawing import SoftShares
from milepost.sampling.search_tree.particles import Particles, ParticleShares, gained, offspring
from milepost.testing.chains import WordReward
from milepost.testing.strategies import check_sampler
from tests.sampling.search_tree.words import REWARD, WORLD, grown, laws

# on the way a word is worth the mean of the words it can become: a guess as good as can be
GUESS = WordReward(
    of=lambda word, count: torch.stack(
        [REWARD.view(3 ** int(c), -1).mean(1)[int(w)] for w, c in zip(word, count, strict=True)]
    )
)


def test_offspring_by_hand():
    """Weights 1/2, 1/4, 1/4 of four: 2, 1, 1 whatever the draw; 0.6 and 0.4 of two at u = 0.5: one each."""
    for draw in (0.01, 0.5, 0.99):
        even = offspring(torch.tensor([2.0, 1.0, 1.0]), torch.zeros(3).long(), 1, 4, torch.tensor([draw]))
        assert even.tolist() == [2, 1, 1]
    two = offspring(torch.tensor([0.6, 0.4]), torch.zeros(2).long(), 1, 2, torch.tensor([0.5]))
    assert two.tolist() == [1, 1]
    assert offspring(torch.zeros(2), torch.zeros(2).long(), 1, 2, torch.tensor([0.5])).tolist() == [0, 0]


@pytest.mark.statistical
def test_offspring_is_unbiased():
    """Mean over 4000 draws against count times weight: within 5 standard errors, and the sums are exact."""
    weight, count = torch.tensor([0.1, 0.55, 0.05, 0.3]).double(), 4000
    draw = torch.from_numpy(keys.generator(1).random(count))
    group = torch.arange(count).repeat_interleave(4)
    found = offspring(weight.repeat(count), group, count, 7, draw).view(count, 4)
    assert bool((found.sum(1) == 7).all())
    error = found.double().std(0) / count**0.5 + 1e-12
    assert bool(((found.double().mean(0) - 7 * weight).abs() < 5 * error).all())


def test_what_is_gained_counts_from_the_last_fork():
    """Two paths of depth 3 with a fork at depth 2: the ends by 7 - 4 and 1 - 2, before the fork whole rewards."""
    reward = {"reward.total": [0.0, 1.0, 4.0, 7.0, 3.0, 2.0, 1.0], "ok.total": [False] + [True] * 6}
    forest = Forest.of([-1, 0, 1, 2, 0, 4, 5], reward)
    assert gained(forest, torch.tensor([3, 6, 2, 4]), (2,)).tolist() == [3.0, -1.0, 4.0, 3.0]


@pytest.mark.statistical
def test_it_draws_from_the_target(record_property):
    """Law over 60 filters of 40 particles at T = 1/3: the mean reward within 5 standard errors and a bias of 1/N."""
    forks, temperature = (1, 2), 1 / 3
    sampler = Particles(scorer=GUESS, width=40, forks=forks, temperature=temperature)
    forest = grown(sampler, roots=60, score=GUESS)
    found = laws(forest, ParticleShares(forks=forks, temperature=temperature)(forest)) @ REWARD
    truth = float(WORLD.target(REWARD, temperature) @ REWARD)
    record_property("mean reward", (float(found.mean()), truth))
    assert abs(float(found.mean()) - truth) < 5 * float(found.std()) / 60**0.5 + 1 / 40


def test_without_forks_it_is_importance_resampling():
    filtered, plain = grown(Particles(scorer=GUESS, width=16)), grown(Independent(width=16))
    assert torch.equal(filtered["key"], plain["key"])
    torch.testing.assert_close(laws(filtered, ParticleShares(forks=())(filtered)), laws(plain, SoftShares()(plain)))


def test_what_is_not_continued_is_pruned():
    forest = grown(Particles(scorer=GUESS, width=16, forks=(1,), temperature=0.05), score=GUESS)
    first = forest.depth() == 1
    gone = forest["end"][first] == int(End.PRUNED)
    assert bool(gone.any())
    assert int((forest.depth() == 2).sum()) == 16
    assert float(ParticleShares(forks=(1,), temperature=0.05)(forest).sum()) == pytest.approx(1.0)


def test_where_every_score_of_a_root_failed_its_particles_all_go_on():
    def scorer(forest, rows):
        forest = GUESS(forest, rows)
        return forest.with_columns({"ok.total": forest["ok.total"] & (forest.root_of() != 0)})

    forest = grown(Particles(scorer=scorer, width=16, forks=(1,), temperature=0.05), roots=2, score=GUESS)
    gone, root = (forest["end"] == int(End.PRUNED)) & (forest.depth() == 1), forest.root_of()
    assert not bool(gone[root == 0].any())
    assert bool(gone[root != 0].any())


def test_the_common_promises():
    def scorer(forest, rows):
        value = torch.arange(len(forest)).float() % 3
        return forest.with_columns({"reward.total": value, "ok.total": torch.ones(len(forest)) > 0})

    assert len(check_sampler(Particles(scorer=scorer, width=5, forks=(2,)))) == 4


def test_settings_are_checked():
    for change in ({"width": 0}, {"forks": (0,)}, {"temperature": 0.0}):
        with pytest.raises(SettingError, match=next(iter(change))):
            Particles(scorer=GUESS, **change)
    with pytest.raises(SettingError, match="temperature"):
        ParticleShares(forks=(), temperature=0.0)
    with pytest.raises(ColumnError, match="score"):
        ParticleShares(forks=())(Forest.of([-1, 0]))
