"""Settings shared by all tests: no network, one thread, shapes checked, fixed examples, and no silent skips."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import cast

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import HealthCheck, settings

from tests import shapes

shapes.install()

# The examples are a function of the test alone: a red test stays red. `HYPOTHESIS_PROFILE=search` looks for new ones.
settings.register_profile(
    "fixed",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", database=None, deadline=None, max_examples=2000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch that `make test` uses."""
    parser.addoption("--fail-on-skip", action="store_true", help="a skipped test is a failure")


def stray_types(value: object) -> set[str]:
    """Names of the types inside a value that a worker of pytest-xdist cannot send, such as NumPy's numbers."""
    if type(value) in (list, tuple):
        return set().union(*map(stray_types, cast("list[object]", value)))
    if type(value) is dict:
        return stray_types([*cast("dict[object, object]", value).items()])
    return set() if type(value) in (bool, int, float, str, type(None)) else {type(value).__name__}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where nothing may be missing, and properties that no worker could report."""
    report = yield
    stray = sorted(stray_types(report.user_properties))
    if stray:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} records a property of {stray}; workers can only send plain numbers and texts."
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption("--fail-on-skip"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and nothing may be skipped here: {reason}"
    return report
