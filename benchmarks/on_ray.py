"""Scoring on a cluster of Ray: the bytes of a local run, with a worker killed in the middle; rows per second.

    python -m benchmarks.on_ray [--trajectories 200000] [--out DIR]

A cluster on this machine has a head without processors and two workers with one each. The same stored forests are
scored in this process, on the cluster, and on the cluster while one of the two workers is killed. Beside it, Ray Data
alone reads the same Parquet files, applies a function that does nothing, and writes them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from milepost import keys, storage
from milepost.columns import End
from milepost.engines.on_ray.cluster import cluster
from milepost.engines.on_ray.forests import apply
from milepost.engines.stored.work import Place, Scoring, done
from milepost.forest import Forest
from milepost.rewards.outcome import Outcome
from milepost.rewards.text import Format

TASKS, WIDTH = 500, 4
"""Of one stored forest."""
WORK = Scoring(rewards=(Outcome(), Format()))


def forest(number: int) -> Forest:
    """A batch as a run stores it: 500 sums with four answers each, some of them right."""
    draw = keys.generator(keys.fold(keys.root(number), "benchmark"))
    terms = draw.integers(10, 99, (TASKS, 2))
    slips = draw.integers(-1, 2, (TASKS, WIDTH))
    records = [
        json.dumps({"prompt": f"{a} + {b}?", "answer": str(a + b), "verifier": "exact"}) for a, b in terms.tolist()
    ]
    said = [
        f"<answer>{a + b + slip}</answer>"
        for (a, b), row in zip(terms.tolist(), slips.tolist(), strict=True)
        for slip in row
    ]
    size = TASKS * WIDTH
    return Forest.of(
        [-1] * TASKS + [task for task in range(TASKS) for _ in range(WIDTH)],
        {
            "task": [f"sum:{number}:{task}" for task in range(TASKS)] + [None] * size,
            "record": [*records, *[None] * size],
            "text": [f"{a} + {b}?" for a, b in terms.tolist()] + said,
            "end": [int(End.OPEN)] * TASKS + [int(End.TERMINATED)] * size,
        },
    )


def digest(folder: Path) -> str:
    """Of every file below a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


def timed(work: Callable[[], Any]) -> float:
    """Seconds that something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def started(cluster_class: Any, nodes: int) -> tuple[Any, list[Any]]:
    """A cluster; Ray gives its own processes 30 s to start, which a busy machine may need twice."""
    for _ in range(5):
        whole = cluster_class()
        try:
            whole.add_node(num_cpus=0, include_dashboard=False)
            return whole, [whole.add_node(num_cpus=1) for _ in range(nodes)]
        except Exception as error:  # noqa: BLE001 - what Ray raises is a plain Exception
            sys.stderr.write(f"the cluster did not start ({str(error)[:80]}): again\n")
            whole.shutdown()
    sys.exit("the cluster did not start in five tries")


def killed(whole: Any, node: Any, out: Path, when: int) -> threading.Thread:
    """Kill a node as soon as so many forests were written, in a thread."""

    def watch() -> None:
        while len(list(out.glob("*/manifest.json"))) < when:
            time.sleep(0.02)
        whole.remove_node(node, allow_graceful=False)
        sys.stderr.write(f"killed a worker after {len(list(out.glob('*/manifest.json')))} forests\n")

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def nothing(source: Path, out: Path) -> None:
    """The same files through Ray Data alone."""
    from ray import data

    data.DataContext.get_current().enable_progress_bars = False
    files = [str(path) for path in sorted(source.glob("*/*.parquet"))]
    data.read_parquet(files).map_batches(lambda table: table, batch_format="pyarrow").write_parquet(str(out))


def main(arguments: Sequence[str]) -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description="Scoring on a cluster of Ray.")
    parser.add_argument("--trajectories", type=int, default=200_000)
    parser.add_argument("--out", type=Path, default=None)
    chosen = parser.parse_args(arguments)
    folder = chosen.out or Path(tempfile.mkdtemp(prefix="milepost-ray-"))
    count = max(chosen.trajectories // (TASKS * WIDTH), 4)
    source = folder / "source"
    for number in range(count):
        storage.write(forest(number), source / f"{number:05d}")

    def places(name: str) -> list[Place]:
        return [Place(source=one, out=folder / name / one.name) for one in sorted(source.iterdir())]

    began = time.process_time()
    seconds = {"local": timed(lambda: [done(WORK, place) for place in places("local")])}
    worked = time.process_time() - began
    from ray.cluster_utils import Cluster

    whole, (_, second) = started(Cluster, 2)
    with cluster(whole.address):
        apply(WORK, places("warm")[:4])
        seconds["cluster"] = timed(lambda: apply(WORK, places("cluster")))
        seconds["Ray Data alone"] = timed(lambda: nothing(source, folder / "alone"))
        thread = killed(whole, second, folder / "killed", count // 3)
        seconds["cluster, one worker killed"] = timed(lambda: apply(WORK, places("killed")))
        thread.join()
    whole.shutdown()
    digests = {name: digest(folder / name) for name in ("local", "cluster", "killed")}
    rows = count * TASKS * (WIDTH + 1)
    found = {
        "trajectories": count * TASKS * WIDTH,
        "rows": rows,
        "same bytes": len(set(digests.values())) == 1,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "rows per second of processor time, local": round(rows / worked),
        "rows per second": {name: round(rows / value) for name, value in seconds.items()},
    }
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    if chosen.out is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
