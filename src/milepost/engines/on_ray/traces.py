"""Triage of files of conversations by a cluster: the first pass piece by piece, the second in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from milepost.engines.on_ray.cluster import Row, mapped
from milepost.engines.triage.scan import Piece, Scanned, scan


def scanning(work: Sequence[Piece]) -> Iterator[Scanned]:
    """Scan pieces on the cluster: what `engines.triage.run.triage` takes as `scanning`.

    A piece of a lost worker is scanned again, over what it had written. All machines must see the same folders.

    Args:
        work: the pieces.

    Yields:
        How much each held, in order.

    Raises:
        MilepostError: Ray lost or doubled a piece.
    """
    for row in mapped(_scanned, [asdict(piece) for piece in work]):
        yield Scanned(lines=row["lines"], traces=row["traces"], faults=row["faults"])


def _scanned(row: Row) -> Row:
    return asdict(scan(Piece(**row)))
