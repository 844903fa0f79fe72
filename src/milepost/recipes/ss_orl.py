"""SS-ORL: offline learning when most trajectories have no actions: an inverse dynamics model writes them."""

from milepost.bridges.minari_files import Stored
from milepost.curation.relabel.labels import ProxyLabels
from milepost.curation.relabel.split import Split
from milepost.environments.offline.behaviours import Arena, Recorder
from milepost.evaluation.offline.comparison import Comparison
from milepost.policies.offline.algorithms import TD3BC, Training
from milepost.policies.offline.cloning import Cloning
from milepost.recipe import Card, Evaluate

CARD = Card(
    title="SS-ORL: semi-supervised offline reinforcement learning with action-free trajectories",
    paper="arXiv:2210.06518",
    year=2022,
    domains=("control",),
    job="evaluate",
    summary="Learns offline from trajectories most of which have no actions: an inverse dynamics model writes them.",
    parts={
        "data": "episodes of mixed behaviour, recorded here and read back from a data set of Minari",
        "split": "int(n p) labelled trajectories, drawn from the int(n q) of the lowest return",
        "labels": "p(a | s_{t-k}, ..., s_t, s_{t+1}): a tanh-squashed Gaussian, the best of its validations kept; mean "
        "and variance of the ensemble",
        "learners": "TD3+BC of d3rlpy, and cloning of the best trajectories, on the union of true and proxy labels",
        "compared": "the same learners with all true labels, and with the labelled trajectories alone",
    },
    claims={
        "an action that the dynamics give in closed form is recovered": "tests/recipes/test_ss_orl.py::"
        "test_the_inverse_model_recovers_a_closed_form",
        "proxy labels are nearly worth true ones, the labelled alone are not": "tests/recipes/test_ss_orl.py::"
        "test_proxy_labels_are_nearly_worth_true_ones",
        "with all labels it is the oracle to the bit": "tests/recipes/test_ss_orl.py::test_all_labelled_is_the_oracle",
        "uncertainty is informative": "tests/recipes/test_ss_orl.py::test_uncertainty_is_informative",
        "the past reveals who acts": "tests/recipes/test_ss_orl.py::test_a_window_beats_two_states_where_habits_differ",
        "hidden actions cannot leak": "tests/recipes/test_ss_orl.py::test_hidden_actions_do_not_leak",
        "the split law": "tests/curation/relabel/test_split.py::test_the_split_law",
        "the best weights label, not the last": "tests/curation/relabel/test_inverse.py::"
        "test_the_best_weights_are_returned",
        "the last step has its own next state": "tests/curation/relabel/test_windows.py::"
        "test_the_last_window_is_not_shifted",
    },
    departs=(
        "a hundredth of the action range is cut off at each end, not 1e-6: actions at their bounds spoil the model",
        "the next state enters as its difference to the state; the same information",
        "128 x 2 numbers, 2,000 updates of 256 moves at most; published: 1024 x 2, 1,024 moves, 1e-4",
        "the gap is measured from random actions up, since returns may be negative",
        "the published code labels with the last weights, shifts the last window and pads before it normalises",
    ),
    advice=(
        "Look at the explained variance outside: labels of better trajectories than the labelled are extrapolated.",
        "TD3+BC needs many more updates than the default for its best; cloning does not.",
    ),
    bibtex="@inproceedings{zheng2023semi, title={Semi-Supervised Offline Reinforcement Learning with Action-Free "
    "Trajectories}, author={Zheng, Qinqing and Henaff, Mikael and Amos, Brandon and Grover, Aditya}, booktitle={ICML}, "
    "year={2023}, eprint={2210.06518}, archivePrefix={arXiv}}",
)


def build(
    *,
    tasks: tuple[str, ...] = ("pendulum", "swimmer"),  # by their names
    repeats: int = 3,  # data sets per task
    recorded: int = 200,  # episodes in each
    share: float = 0.1,  # of the trajectories, the worse half, that keeps its actions
    members: int = 3,  # inverse models in the ensemble
    updates: int = 1200,  # of TD3+BC
    folder: str = "",  # where the data sets of Minari are kept; empty: nowhere
) -> Evaluate:
    """Build the job; the arms have the same data, learners and keys."""
    arena = Arena()
    experiment = Comparison(
        record=Stored(record=Recorder(episodes=recorded), arena=arena, folder=folder),
        split=Split(share=share),
        labels=ProxyLabels(members=members),
        learners={"TD3+BC": TD3BC(training=Training(steps=updates)), "cloning": Cloning()},
        arena=arena,
    )
    return Evaluate(tasks=tasks, experiment=experiment, repeats=repeats)
