"""Weights are trained once, and again when anything that they depend on changes."""

import torch

from milepost.images import cached


def test_trained_once_per_recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def train():
        calls.append(torch.is_grad_enabled())
        return {"weight": torch.full((2,), float(len(calls)))}

    with torch.no_grad():
        first = cached.weights("thing", {"steps": 1}, train)
    again = cached.weights("thing", {"steps": 1}, train)
    other = cached.weights("thing", {"steps": 2}, train)
    assert calls == [True, True]
    assert first["weight"].tolist() == again["weight"].tolist() == [1.0, 1.0]
    assert other["weight"].tolist() == [2.0, 2.0]
    assert len(list((tmp_path / "milepost").iterdir())) == 2


def test_without_a_setting_it_is_the_users_folder(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cached.folder().parts[-2:] == (".cache", "milepost")
