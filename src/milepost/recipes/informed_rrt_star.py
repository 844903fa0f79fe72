"""Informed RRT*: once a path is known, only the ellipsoid through which a shorter one could pass is sampled."""

from milepost.planning.planner import RRTStar
from milepost.planning.seeking import Plans
from milepost.recipe import Card, Search

CARD = Card(
    title="Informed RRT*: sampling only where a shorter path can be",
    paper="arXiv:1404.2334",
    year=2014,
    domains=("planning",),
    job="search",
    summary="Shortest paths among obstacles: the better the best known path, the smaller the space that is sampled.",
    parts={
        "seeker": "RRT* that draws uniformly from the prolate hyperspheroid of the best path (section IV, eq. 3, 4), "
        "directly and in any dimension; k nearest neighbours, collision checks in order of cost",
        "pruning": "vertices whose distance to start and goal sums to more than the best cost, and all below them",
        "compared": "RRT* on the same draws",
    },
    claims={
        "every sample is inside": "tests/planning/test_spheroid.py::test_every_sample_is_inside",
        "samples are uniform": "tests/planning/test_spheroid.py::test_the_inverse_gives_a_uniform_ball",
        "E[c'] = (n c^2 + c_min^2) / ((n + 1) c)": "tests/planning/test_spheroid.py::test_mean_focal_sum_is_the_theory",
        "linear convergence at (n - 1) / (n + 1)": "tests/planning/test_spheroid.py::"
        "test_the_convergence_rate_is_the_theory_to_three_digits",
        "drawing from the bounds and rejecting hardly ever succeeds": "tests/planning/test_spheroid.py::"
        "test_rejection_from_a_cube",
        "several goals: the union is uniform": "tests/planning/test_union.py::"
        "test_uniform_with_the_rule_and_not_without",
        "before the first path it is RRT*": "tests/planning/test_planner.py::"
        "test_before_the_first_path_informed_is_plain",
        "it beats RRT* in four dimensions": "tests/planning/test_planner.py::"
        "test_informed_beats_plain_in_four_dimensions",
        "pruning costs nothing": "tests/planning/test_planner.py::test_pruning_never_costs_anything",
    },
    departs=(
        "k = 1.1 e (1 + 1/n) ln q neighbours, as RRT* has them; OMPL takes 2^(n+1) times as many",
        "new vertices are connected to the goal at once where that is nearer than one step; the paper waits for a draw",
        "vertices that cannot improve the best path are not added, and the tree is pruned, as in the paper of 2018",
        "the search goes on with the next draw where one falls out of bounds; such a draw counts as an iteration",
    ),
    advice=(
        "Install milepost[planning]: compiled, the planner makes some 70,000 iterations per second in the plane.",
        "In the plane, in a world hardly larger than the ellipse, there is little to win; in six dimensions much.",
        "For lengths only: for another cost the ellipsoid may leave the best path out.",
    ),
    bibtex="@inproceedings{gammell2014informed, title={Informed RRT*: Optimal sampling-based path planning focused "
    "via direct sampling of an admissible ellipsoidal heuristic}, author={Gammell, Jonathan D. and Srinivasa, "
    "Siddhartha S. and Barfoot, Timothy D.}, booktitle={IROS}, year={2014}, eprint={1404.2334}, archivePrefix={arXiv}}",
)


def build(
    *,
    problems: tuple[str, ...] = ("gap", "walls", "scattered", "wide", "arm-pillar", "arm-shelf"),  # by their names
    iterations: int = 20_000,  # draws per problem
    repeats: int = 3,  # searches per problem, each with draws of its own
    steer: float = 0.0,  # longest step towards a draw; 0 is a fifth of the diagonal of the bounds
    goal_bias: float = 0.05,  # share of draws that are the goal, until it is reached
    prune: float = 0.05,  # prune when the best path is shorter by this share than at the last time
) -> Search:
    """Build the job; RRT* runs beside it, on the same draws."""
    informed = RRTStar(steer=steer, goal_bias=goal_bias, prune=prune)
    plain = RRTStar(informed=False, steer=steer, goal_bias=goal_bias)
    return Search(
        tasks=problems,
        seekers={
            "informed": Plans(planner=informed, iterations=iterations),
            "RRT*": Plans(planner=plain, iterations=iterations),
        },
        repeats=repeats,
    )
