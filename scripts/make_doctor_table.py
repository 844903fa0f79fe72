"""Write docs/how-to/doctor_table.inc: python scripts/make_doctor_table.py FILE

FILE holds what `milepost doctor reasoning-gym --json` printed.
"""

# ruff: noqa: INP001, T201 - a script: it is run, not imported, and it prints
from __future__ import annotations

import json
import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "doctor_table.inc"
HEAD = """<!-- Written by scripts/make_doctor_table.py from `milepost doctor reasoning-gym --json`. -->

| generator | references refused | nonsense paid | wrong paid | constant paid | length | fails | verdict |
|---|---|---|---|---|---|---|---|
"""
CHECKS = (
    "accepts references",
    "nonsense is not paid",
    "wrong answers are not paid",
    "no constant pays",
    "length does not pay",
    "never fails",
)


def row(found: dict) -> str:
    """One generator as a line of the table; what is over its limit is bold."""
    if found["refused"]:
        reason = " ".join(found["refused"].split())[:110].replace("|", "/")
        return f"| `{found['source']}` | | | | | | | not examined: {reason} |"
    by_check = {one["check"]: one for one in found["findings"]}
    cells = []
    for check in CHECKS:
        one = by_check[check]
        text = "-" if one["measure"] is None else f"{one['measure']:.2f}"
        cells.append(text if one["ok"] else f"**{text}**")
    others = [one["check"] for one in found["findings"] if not one["ok"] and one["check"] not in CHECKS]
    verdict = "fit" if found["fit"] else "**problem**" + (f" ({', '.join(others)})" if others else "")
    return f"| `{found['source']}` | {' | '.join(cells)} | {verdict} |"


def main() -> None:
    """Read the file that is named and write the table."""
    found = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    TARGET.write_text(HEAD + "\n".join(map(row, found)) + "\n", encoding="utf-8")
    fit, refused = sum(one["fit"] for one in found), sum(bool(one["refused"]) for one in found)
    print(f"{len(found)} generators: {fit} fit, {len(found) - fit - refused} with problems, {refused} not examined")


if __name__ == "__main__":
    main()
