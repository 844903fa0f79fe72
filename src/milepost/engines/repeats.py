"""Runs and repeats as folders: what a run came to, and repeats whose seeds derive from one. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from safetensors import SafetensorError, safe_open

from milepost import checks, keys
from milepost.engines import toml_file
from milepost.engines.events import Evaluation, Event, OnEvent
from milepost.engines.settings import RunSettings
from milepost.errors import FormatError, ResumeError

NAME = "repeats.json"
CHECKPOINT = "checkpoint.safetensors"
OnRepeat: TypeAlias = Callable[[int, Event], None]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far a run is, by its last checkpoint."""

    folder: Path
    settings: RunSettings
    step: int
    evaluations: tuple[Evaluation, ...]
    cost: Mapping[str, float]
    """Spent in training, by unit, scoring passes included."""
    sampled: Mapping[str, float]
    """The same without scoring passes."""

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: the last step is done or the budget spent, and the end is evaluated."""
        spent = self.settings.room(self.cost, self.sampled, self.step) == 0
        evaluated = bool(self.evaluations) and self.evaluations[-1].step == self.step
        return evaluated and (spent or self.step >= self.settings.update.steps)


def is_run(folder: Path) -> bool:
    """Whether a folder is that of one run."""
    return (folder / "run.toml").is_file() and (folder / "manifest.json").is_file()


def runs_in(folder: Path) -> tuple[Path, ...]:
    """The runs of a folder: itself when it is a run, else its repeats in order.

    Args:
        folder: what `milepost run` wrote.

    Returns:
        At least one folder.

    Raises:
        FormatError: the folder holds no run.
    """
    if is_run(folder):
        return (folder,)
    places = {int(path.name.removeprefix("repeat-")): path for path in folder.glob("repeat-[0-9]*") if is_run(path)}
    if not places:
        raise FormatError(
            f"{folder} holds no run: it has neither manifest.json nor repeat-0. Start one with `milepost run`."
        )
    return tuple(places[number] for number in sorted(places))


def standing(folder: Path) -> Standing:
    """Read how far a run is.

    Args:
        folder: the folder of one run.

    Returns:
        Its settings, and what its checkpoint says; a run without a checkpoint is at step 0.

    Raises:
        FormatError: not a run, or its checkpoint cannot be read.
    """
    if not is_run(folder):
        raise FormatError(
            f"{folder} is not a run of training: run.toml or manifest.json is missing. Start one with `milepost run`. "
            "Searches and experiments cannot be continued: run them again."
        )
    settings = toml_file.read(folder / "run.toml")
    path = folder / CHECKPOINT
    record: Mapping[str, Any] = {"step": 0, "evaluations": [], "cost": {}, "sampled": {}}
    if path.is_file():
        try:
            with safe_open(path, framework="numpy") as file:
                record = json.loads(file.metadata()["milepost"])
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise FormatError(f"{path} cannot be read as a checkpoint: {error}.") from error
    return Standing(
        folder=folder,
        settings=settings,
        step=int(record["step"]),
        evaluations=tuple(Evaluation(**one) for one in record["evaluations"]),
        cost={unit: float(value) for unit, value in record["cost"].items()},
        sampled={unit: float(value) for unit, value in record["sampled"].items()},
    )


def asked(folder: Path) -> int:
    """Repeats that a folder is meant to hold.

    Args:
        folder: what `repeat` wrote.

    Returns:
        The number; 0 when the folder is not one of repeats.

    Raises:
        FormatError: the file is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return 0
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["repeats"])
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path} is damaged: {error!r}.") from error


def seed_of(seed: int, repeat: int) -> int:
    """Seed of a repeat: a child of the root key, so that more repeats never change earlier ones.

    Args:
        seed: seed of the whole.
        repeat: number of the repeat, from 0.

    Returns:
        A whole number in [0, 2^31).
    """
    checks.at_least("repeat", repeat, 0)
    return keys.seed_of(keys.fold(keys.root(seed), "repeat", repeat))


def begin(settings: RunSettings, out: Path, *, on_event: OnEvent, track: Sequence[str] = ()) -> Standing:
    """Start a run and see it through.

    Args:
        settings: what to do.
        out: a folder that does not exist yet, or is empty.
        on_event: told of everything that happens.
        track: trackers that mirror the metrics.

    Returns:
        The finished run.

    Raises:
        ResumeError: `out` holds something already.
    """
    from milepost.engines import local

    local.run(settings, out, on_event=on_event, track=track)
    return standing(out)


def resume(out: Path, *, on_event: OnEvent, accept_change: bool = False, track: Sequence[str] = ()) -> Standing:
    """Continue a run, unless it is finished.

    Args:
        out: the run's folder.
        on_event: told of everything that happens.
        accept_change: continue though settings, data, rewards, code or versions changed; the result may then differ.
        track: trackers that mirror the metrics.

    Returns:
        The finished run.

    Raises:
        ResumeError: something changed and `accept_change` is false; of a finished run, its settings.
        FormatError: not a run.
    """
    from milepost.engines import local

    found = standing(out)
    if found.finished and not accept_change and (changed := _changed(found)):
        raise ResumeError(
            f"{out} is finished, and its run.toml was changed afterwards ({', '.join(changed)}): there is nothing to "
            f"continue. Start a run of its own with `milepost run @ {out}/run.toml`, or put the file back."
        )
    if not found.finished:
        local.resume(out, on_event=on_event, accept_change=accept_change, track=track)
    return standing(out)


def _changed(found: Standing) -> list[str]:
    """Settings in which run.toml differs from what the run was started with; those of `keep` change no number."""
    try:
        began: Any = json.loads((found.folder / "manifest.json").read_text(encoding="utf-8")).get("settings", {})
    except (OSError, ValueError, AttributeError) as error:
        raise FormatError(f"{found.folder}/manifest.json cannot be read: {error}.") from error
    now = json.loads(json.dumps(asdict(found.settings)))
    return sorted(name for name in now if name in began and name != "keep" and now[name] != began[name])


def see_through(
    settings: RunSettings, out: Path, *, on_event: OnEvent, accept_change: bool = False, track: Sequence[str] = ()
) -> Standing:
    """Start a run, continue it, or leave it as it is when it is finished.

    Args:
        settings: what to do.
        out: the run's folder.
        on_event: told of everything that happens.
        accept_change: continue though something else than the settings changed.
        track: trackers that mirror the metrics.

    Returns:
        The finished run.

    Raises:
        ResumeError: `out` holds a run with other settings.
    """
    if not is_run(out):
        return begin(settings, out, on_event=on_event, track=track)
    if _text(standing(out).settings) != _text(settings):
        raise ResumeError(f"{out} holds a run with other settings: choose another --out, or `milepost resume {out}`.")
    return resume(out, on_event=on_event, accept_change=accept_change, track=track)


def _text(settings: RunSettings) -> str:
    """Settings as text, in which a tuple and the list that a file makes of it look alike."""
    return json.dumps(asdict(settings), sort_keys=True)


def repeat(
    settings: RunSettings,
    count: int,
    out: Path,
    *,
    on_event: OnRepeat,
    accept_change: bool = False,
    track: Sequence[str] = (),
) -> tuple[Standing, ...]:
    """Run repeats with derived seeds into `out`/repeat-0, -1, ...; finished ones are kept, stopped ones continued.

    Args:
        settings: of every repeat, with the seed of the whole.
        count: repeats, at least 1.
        out: folder above the repeats.
        on_event: told the number of the repeat and what happened.
        accept_change: continue though something else than the settings changed.
        track: trackers that mirror the metrics.

    Returns:
        The finished repeats, in order.

    Raises:
        SettingError: `count` below 1.
        ResumeError: `out` is a single run, or a folder below it holds a run with other settings.
    """
    checks.at_least("repeats", count, 1)
    if is_run(out):
        raise ResumeError(f"{out} is a single run, not a folder of repeats: choose another --out.")
    out.mkdir(parents=True, exist_ok=True)
    toml_file.write(out / "run.toml", settings)
    (out / NAME).write_text(json.dumps({"format": "milepost-repeats", "schema": 1, "repeats": max(count, asked(out))}))
    return tuple(
        see_through(
            replace(settings, seed=seed_of(settings.seed, number)),
            out / f"repeat-{number}",
            on_event=lambda event, number=number: on_event(number, event),
            accept_change=accept_change,
            track=track,
        )
        for number in range(count)
    )
