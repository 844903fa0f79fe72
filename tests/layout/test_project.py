"""The project's own files agree with each other: versions, lock files, extras, entry point."""

from __future__ import annotations

import re
import tomllib

import pytest

import milepost

LOCKS = ("demo", "dev", "bench")


def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def locked(root, name: str) -> list[str]:
    lines = (root / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def package_of(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;]", requirement)[0].lower().replace("_", "-")


def test_version_is_stated_once(root):
    assert project(root)["project"]["version"] == milepost.__version__
    assert f"## {milepost.__version__}" in (root / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", LOCKS)
def test_locks_hold_exact_versions_only(root, name):
    for line in locked(root, name):
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), f"not an exact public version: {line}"
        assert not re.match(r"(nvidia|cuda|triton)", line), f"only some machines can use {line}"


def test_the_demo_is_part_of_the_development_set(root):
    assert set(locked(root, "demo")) <= set(locked(root, "dev"))


def test_one_torch_everywhere(root):
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    pinned = re.search(r"^TORCH := (torch==\S+)$", makefile, flags=re.MULTILINE).group(1)
    assert all(pinned in locked(root, name) for name in LOCKS)


def test_locks_hold_every_direct_dependency(root):
    table = project(root)["project"]
    extras = table["optional-dependencies"]
    core = table["dependencies"]
    for name, wanted in (
        ("demo", [*core, *extras["lm"], *extras["report"]]),
        ("dev", [*core, *extras["dev"], *extras["lm"]]),
    ):
        present = {package_of(line) for line in locked(root, name)}
        assert {package_of(r) for r in wanted} - {"milepost"} <= present


def test_core_needs_no_torch(root):
    core = {package_of(line) for line in project(root)["project"]["dependencies"]}
    assert core == {"jaxtyping", "numpy", "pyarrow", "rich", "safetensors", "tomli-w", "tyro"}


def test_every_dependency_is_explained(root):
    table = project(root)["project"]
    listed = [*table["dependencies"], *(r for extra in table["optional-dependencies"].values() for r in extra)]
    text = (root / "docs" / "design" / "dependencies.md").read_text(encoding="utf-8").lower()
    missing = sorted({package_of(r) for r in listed} - {"milepost"} - set(re.findall(r"`([a-z0-9-]+)`", text)))
    assert not missing, f"docs/design/dependencies.md gives no reason for {missing}"


def test_the_command_is_installed(root):
    assert project(root)["project"]["scripts"] == {"milepost": "milepost.cli:main"}


def test_ci_runs_the_tests(root):
    script = root / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text(encoding="utf-8")
