"""Text put into a forest by nobody's policy: the policy encodes it, and says how likely it finds it."""

from __future__ import annotations

import torch
from torch import Tensor

from milepost import keys
from milepost.columns import End, Origin, Role
from milepost.errors import ShapeError
from milepost.forest import Forest
from milepost.part import Inserted, Policy
from milepost.ragged import Ragged
from milepost.sampling.branching.pool import pool_log_prob


def insert(forest: Forest, rows: Tensor, inserted: Inserted, policy: Policy) -> Forest:
    """Put one inserted step below each of the given rows.

    Args:
        forest: what has grown so far.
        rows: rows below which text is put; a row may occur several times.
        inserted: the text.
        policy: encodes it, and says how likely it finds it where it is trained or was drawn from a pool.

    Returns:
        The forest with one more row for each. Their origin and the role of their tokens is INSERTED, their key is that
        of the step whose place they take, folded, and they are open. `tokens.log_prob` is the policy's own
        log-probability of the text (missing where it rules a token out), at the cost of one model call,
        `tokens.drawn_log_prob` that of the draw.

    Raises:
        ShapeError: not one text and one key for each row.
        SettingError: a text that is not in the pool.
    """
    size = len(rows)
    if not size == len(inserted.shown) == len(inserted.texts) == len(inserted.branch_of):
        raise ShapeError(
            f"{len(inserted.shown)} insertions with {len(inserted.texts)} texts and {len(inserted.branch_of)} keys for "
            f"{size} rows: expected one each."
        )
    scored = inserted.train or len(inserted.pool) > 0
    said = Forest.of([-1] * size, policy.encode(inserted.shown, start=False))
    fresh = said.with_columns(
        {
            "key": [keys.fold(key, "inserted") for key in inserted.branch_of.tolist()],
            "branch_of": inserted.branch_of,
            "origin": [int(Origin.INSERTED)] * size,
            "policy_version": [policy.version] * size,
            "end": [int(End.OPEN)] * size,
            "discount": [1.0] * size,
            "text": list(inserted.texts),
            "cost.model_calls": [float(scored)] * size,
        }
    )
    if fresh.token_offsets is None:
        return forest.graft(rows, fresh)
    fresh = _marked(fresh, Role.INSERTED, train=inserted.train)
    if scored:
        ids = fresh.ragged("tokens.id")
        found = _log_prob(forest, rows, fresh, policy)
        possible = found.isfinite()
        fresh = fresh.with_columns({"tokens.log_prob": Ragged(found.where(possible, 0), ids.offsets)})
        fresh = fresh.with_valid("tokens.log_prob", possible)
        if inserted.pool:
            pool = Forest.of([-1] * len(inserted.pool), policy.encode(inserted.pool, start=False)).ragged("tokens.id")
            fresh = fresh.with_columns({"tokens.drawn_log_prob": Ragged(pool_log_prob(ids, pool), ids.offsets)})
    return forest.graft(rows, fresh)


def _marked(fresh: Forest, role: Role, *, train: bool) -> Forest:
    size = len(fresh["tokens.id"])
    return fresh.with_columns(
        {
            "tokens.role": torch.full((size,), int(role), dtype=torch.int8),
            "tokens.train": torch.full((size,), train),
        }
    )


def _log_prob(forest: Forest, rows: Tensor, fresh: Forest, policy: Policy) -> Tensor:
    """How likely the policy finds the text, had it written it itself."""
    as_its_own = forest.graft(rows, _marked(fresh, Role.POLICY, train=True))
    with torch.no_grad():
        found = policy.log_prob(as_its_own, torch.arange(len(forest), len(as_its_own)))
    return found.float()
