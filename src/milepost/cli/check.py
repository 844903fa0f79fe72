"""`milepost check`: does the credit of a stored run keep its promises, do the claims of a recipe hold here?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import milepost
from milepost import recipe, storage
from milepost.cli import output
from milepost.engines import repeats


def main(argv: Sequence[str]) -> int:
    """Check a run, a stored forest, or a recipe; exit code 1 when something is wrong.

    With --json, for a run or forest: an object with `forests`, an array of `forest`, `clean`, `checked`, `skipped`
    (check to reason) and `found` (sentences). For a recipe: `recipe`, `how` ("tests" or "contract"), `held`, and
    `claims`, an array of `claim`, `test`, `held`, `said`, or `checked` and `problems`, arrays of sentences.
    """
    parser = output.Parser(
        prog="milepost check",
        description="Check the credit of a stored run or forest, or the claims of a recipe. Exit code 1: problems.",
    )
    parser.add_argument("target", help="a recipe's name, or the folder of a run or of a stored forest")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args(argv)
    if options.target in recipe.names() or not ("/" in options.target or Path(options.target).exists()):
        return _recipe(options.target, as_json=options.json)
    return _stored(output.existing(Path(options.target), "check"), as_json=options.json)


# ---- stored credit ----


def _stored(folder: Path, *, as_json: bool) -> int:
    rows = [row for path, credit in _forests(folder) for row in [_audit(path, credit)]]
    clean = all(row["clean"] for row in rows)
    if as_json:
        output.document({"clean": clean, "forests": rows})
    else:
        output.say(_stored_text(rows))
    return output.DONE if clean else output.FOUND


def _forests(folder: Path) -> list[tuple[Path, Any]]:
    """Stored forests below a folder, each with the credit rule that wrote it; None where that is not known."""
    from milepost.engines import build
    from milepost.report.stored import run

    if not repeats.is_run(folder) and repeats.asked(folder) == 0:
        steps = run.stored(folder / "forests")  # as `milepost score` writes them
        return [(one.folder, None) for one in steps] if steps else [(folder, None)]
    found: list[tuple[Path, Any]] = []
    for one in repeats.runs_in(folder):
        credit = build.job(repeats.standing(one).settings).credit
        found += [(stored.folder, credit) for stored in run.stored(one / "forests")]
    return found


def _audit(path: Path, credit: Any) -> dict[str, Any]:
    from milepost.credit.audit import audit

    forest = storage.read(path)
    if "advantage" not in forest:
        none = "no credit is stored here; `milepost score` leaves that of the old rewards out"
        return {"forest": str(path), "clean": True, "checked": [], "skipped": {"credit": none}, "found": []}
    found = audit(forest, credit)
    return {
        "forest": str(path),
        "clean": found.clean,
        "checked": found.checked,
        "skipped": dict(found.skipped),
        "found": [str(one) for one in found.found],
    }


def _stored_text(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return "The run keeps no forest yet, so there is no credit to check."
    lines = [f"{row['forest']}: {finding}" for row in rows for finding in row["found"]]
    made = dict.fromkeys(name for row in rows for name in row["checked"])
    skipped = {name: reason for row in rows for name, reason in row["skipped"].items() if name not in made}
    bad = sum(not row["clean"] for row in rows)
    lines.append(f"{len(rows)} forests checked, {bad} with problems. Checks: {', '.join(made)}.")
    lines += [f"Not checked: {name}, because {reason}." for name, reason in skipped.items()]
    return "\n".join(lines)


# ---- claims ----


def _recipe(name: str, *, as_json: bool) -> int:
    card = recipe.card(name)
    root = repository()
    found = _by_tests(name, card, root) if root is not None else _by_contract(name)
    if as_json:
        output.document(found)
    else:
        output.say(_recipe_text(found))
    return output.DONE if found["held"] else output.FOUND


def repository() -> Path | None:
    """The folder whose tests the cards name, when milepost runs from a checkout."""
    root = Path(milepost.__file__).resolve().parents[2]
    return root if (root / "tests" / "recipes").is_dir() and (root / "pyproject.toml").is_file() else None


def _by_tests(name: str, card: recipe.Card, root: Path) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for claim, test in card.claims.items():
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "--durations=0", test]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        last = (done.stdout.strip().splitlines() or [done.stderr.strip()])[-1]
        rows.append({"claim": claim, "test": test, "held": done.returncode == 0, "said": last})
    return {"recipe": name, "how": "tests", "held": all(row["held"] for row in rows), "claims": rows}


def _by_contract(name: str) -> dict[str, Any]:
    from milepost.testing import check_recipe

    try:
        checked = check_recipe(name)
    except AssertionError as broken:
        return {"recipe": name, "how": "contract", "held": False, "checked": [], "problems": str(broken).splitlines()}
    return {"recipe": name, "how": "contract", "held": True, "checked": checked, "problems": []}


def _recipe_text(found: dict[str, Any]) -> str:
    if found["how"] == "contract":
        head = f"{found['recipe']}: the tests of its claims are in milepost's repository, which is not here."
        verdict = found["problems"] or [f"The contract of a recipe holds: {', '.join(found['checked'])}."]
        return "\n".join([head, *verdict])
    rows = [("holds" if row["held"] else "FAILS", row["claim"], row["test"]) for row in found["claims"]]
    failed = [f"\n{row['test']}: {row['said']}" for row in found["claims"] if not row["held"]]
    return output.table(rows) + "".join(failed)
