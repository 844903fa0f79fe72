"""CoVe: constraints on a database make the tasks and check the conversations; only what is verified is kept."""

from milepost.curation.constraints.keep import Constrained
from milepost.curation.constraints.verify import Verifier
from milepost.environments.sandbox.tau2 import Tau2
from milepost.recipe import Card, Curate

CARD = Card(
    title="CoVe: constraint-guided verification of tool-use dialogues",
    paper="cove-agent",
    year=2026,
    domains=("agent", "text"),
    job="curate",
    summary="For agents over a database: dialogues are kept only if their effects are exactly what the task asked for.",
    parts={
        "constraints": "effects of the writes of a plan: kind, entity, arguments, changed fields with final values",
        "tasks": "drawn from the database, ids told as people would, discarded unless unique and carried out in a test",
        "verification": "S = clip(1/n sum sat_i - redundant / n, 0, 1): effects in the final state, any path counts",
        "keep": "S = 1, every need uttered; else a reason: agent, user_simulator, turn_cap, tool_error, reference",
    },
    claims={
        "gold plans score 1, the empty dialogue 0": "tests/recipes/test_cove.py::test_gold_plans_and_empty_dialogues",
        "gold plans that fail are told": "tests/recipes/test_cove.py::test_gold_plans_that_fail_are_reported",
        "every mutation is found, reads never matter": "tests/recipes/test_cove.py::test_every_mutation_is_found",
        "writing the same twice is found, which a hash misses": "tests/recipes/test_cove.py::"
        "test_the_same_write_twice_leaves_the_hash_and_not_the_score",
        "without failed and repeated writes S = 1 iff the database is the plan's": "tests/recipes/test_cove.py::"
        "test_the_score_agrees_with_the_database",
        "descriptions name exactly one entry": "tests/curation/constraints/test_shopping.py::"
        "test_every_description_names_exactly_one_entry",
        "drawn tasks can be solved, and are harder for being described": "tests/recipes/test_cove.py::"
        "test_drawn_tasks_are_solvable_and_descriptions_cost_look_ups",
        "a user who leaves bounds the score, and is blamed": "tests/recipes/test_cove.py::"
        "test_a_user_who_leaves_bounds_the_score",
        "what is verified teaches better than as much that is not": "tests/recipes/test_cove_learning.py::"
        "test_what_is_verified_teaches_better_than_as_much_that_is_not",
    },
    departs=(
        "the score's formula is unpublished: ours counts fulfilled constraints less redundant writes",
        "descriptions are written by rules from the database; the paper's users are played by a model",
        "tasks are drawn for the retail desk only; both desks are verified",
        "that a user said yes before a write is not checked, nor what the user was told",
    ),
    advice=(
        "The plan is a way to the effects, not the way: other orders and detours count as well.",
        "A rejected dialogue tells who was at fault: repair the simulator before you train on its failures.",
        "curation.pairs.rows.conversation_rows writes what is kept for TRL's SFT trainer.",
    ),
    bibtex="@misc{cove2026, title={CoVe: Constraint-Guided Verification for Interactive Tool-Use Agents}, year={2026}}",
)


def build(
    *,
    domain: str = "retail",  # "retail" or "airline": the sandbox in which calls are carried out again
    count_failed_writes: bool = False,  # a write that was refused is redundant too
) -> Curate:
    """Build the job; conversations bring their task's record or name a task of the desk."""
    database = Tau2(domain=domain)
    verifier = Verifier(database=database, count_failed_writes=count_failed_writes)
    return Curate(
        steps=(Constrained(verifier=verifier, tasks=(*database.tasks("train"), *database.tasks("held_out"))),)
    )
