"""Cards and recipes: a recipe is one file that composes parts into a job; its literal `CARD` is read without import."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast, runtime_checkable

from milepost.errors import FormatError, SettingError, unknown_name

if TYPE_CHECKING:
    from torch import Tensor

    from milepost.forest import Forest
    from milepost.part import Credit, Objective, Reward, Sampler, State, TaskChoice

FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a recipe is, where it comes from and what it claims."""

    title: str
    paper: str
    """Where the method is published, such as "arXiv:2402.03300"."""
    year: int
    domains: tuple[str, ...]
    """Of "text", "agent", "flow", "control", "planning", "vision"."""
    job: str = "train"
    """Of "train", "search", "curate", "evaluate"."""
    summary: str
    """One sentence: what it does and for whom."""
    parts: Mapping[str, str]
    """Part of the recipe to what it computes, with the paper's equation."""
    claims: Mapping[str, str]
    """What is claimed to the test that measures it, as "tests/...py::test_name"."""
    departs: tuple[str, ...] = ()
    """How it differs from the paper, and why."""
    advice: tuple[str, ...] = ()
    """When to use it, when not, and what it costs."""
    bibtex: str


class View(Protocol):
    """What is trained in place of what was sampled: the same choices in other contexts, or with other densities.

    It is applied to the credited batch before an update, and is not stored.
    """

    def __call__(self, forest: Forest) -> Forest:
        """Return the forest to train on; rows may be left out, repeated or put below other rows."""
        ...


class Process(Protocol):
    """Times, noise and guidance of a denoising sampler; see `policies.flow.process.Process`."""

    def levels(self, version: int) -> Tensor:
        """Noise level of every step after a number of updates."""
        ...


class LearnedReward(Protocol):
    """A reward of steps with weights of its own: a copy of the policy that is trained beside it, batch by batch."""

    @property
    def name(self) -> str:
        """Name of the columns `reward.<name>`, `ok.<name>`, `reason.<name>`."""
        ...

    @property
    def objective(self) -> Objective:
        """What its weights minimise."""
        ...

    @property
    def learning_rate(self) -> float:
        """Of its own optimiser."""
        ...

    @property
    def gradient_clip(self) -> float:
        """Largest norm of its gradient."""
        ...

    def ready(self, forest: Forest) -> bool:
        """Whether the scored batch holds anything to learn from; otherwise the weights stay what they are."""
        ...

    def score(self, forest: Forest, log_prob: Tensor) -> Forest:
        """Write its columns; `log_prob` is what its weights give every token of the forest."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A reward of steps that depends on what was seen before, such as a bonus for what is new."""

    @property
    def name(self) -> str:
        """Name of the columns `reward.<name>`, `ok.<name>`, `reason.<name>`."""
        ...

    def init(self, survey: Any) -> State:
        """Memory before the first batch; `survey` holds observations of random actions, one per row."""
        ...

    def apply(self, forest: Forest, memory: Any, key: int) -> tuple[Forest, State]:
        """Write its columns, by what was known before the batch, and return the next memory."""
        ...


class Guide(Protocol):
    """What steers the sampler of a flow model by a reward; see `policies.flow.guidance`."""

    @property
    def density(self) -> str:
        """Under which kernel a guided step is as likely as it says."""
        ...


class Measure(Protocol):
    """A number of held-out trajectories as a whole, shown beside their success. Nothing is trained by it."""

    @property
    def name(self) -> str:
        """What it is called, a word or words joined by underscores."""
        ...

    def __call__(self, forest: Forest) -> float:
        """Measure a scored forest; NaN where the measure cannot be had."""
        ...


@dataclass(frozen=True, kw_only=True)
class Train:
    """Grow, score, credit, update, repeat."""

    choice: TaskChoice
    sampler: Sampler
    rewards: tuple[Reward, ...]
    weights: tuple[float, ...]
    """Weight of each reward in `reward.total`."""
    credit: Credit
    objective: Objective
    resample_rounds: int = 0
    """How many times groups whose rewards are all equal are replaced by newly drawn tasks (DAPO's dynamic sampling)."""
    learned: LearnedReward | Remembers | None = None
    """A reward of steps that is trained, or remembers, beside the policy; it is scored after the others and not part of
    the total."""
    view: View | None = None
    """What is trained in place of what was sampled; None: just that."""
    process: Process | None = None
    """How a flow or diffusion model is sampled; None: as its loader does by default."""
    guide: Guide | None = None
    """What steers the sampler of a flow model; evaluation goes without."""
    measures: tuple[Measure, ...] = ()
    """What is measured on held-out tasks beside success and rewards, so that a reward that is fooled shows."""

    def __post_init__(self) -> None:
        """Check that rewards and weights pair up, that names differ, and that no column has two writers."""
        names = [reward.name for reward in self.rewards]
        if len(self.weights) != len(names):
            raise SettingError(
                f"{len(names)} rewards were given with {len(self.weights)} weights: give one weight each."
            )
        names += [] if self.learned is None else [self.learned.name]
        if len(set(names)) != len(names) or "total" in names:
            raise SettingError(f"Rewards are named {names}: names must differ, and 'total' is the name of their sum.")
        stray = [column for column in self.credit.writes if column not in CREDITED]
        if stray:
            raise SettingError(f"The credit rule writes {stray}; a credit rule may write {', '.join(CREDITED)} only.")


class Curation(Protocol):
    """Reads stored trajectories and writes what is thought of them: labels, what is kept, weights."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns it uses."""
        ...

    @property
    def writes(self) -> tuple[str, ...]:
        """Columns it adds."""
        ...

    def __call__(self, forest: Forest) -> Forest:
        """Return the forest with the written columns; rows and what else they hold stay as they are."""
        ...


@dataclass(frozen=True, kw_only=True)
class Curate:
    """Read stored trajectories, step by step of the curation."""

    steps: tuple[Curation, ...]

    def __post_init__(self) -> None:
        """Check that columns are those of curation, and that none has two writers."""
        written = [column for step in self.steps for column in step.writes]
        stray = [one for one in written if one.partition(".")[0] not in CURATED]
        if stray or len(set(written)) != len(written):
            raise SettingError(f"The steps write {written}: each column once, and only of {', '.join(CURATED)}.")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one search came to."""

    forest: Forest
    cost: float
    """Of the best trajectory, the less the better; infinite where none was found."""
    progress: tuple[tuple[int, float], ...]
    """Work done, and the best cost at that time."""
    scene: Mapping[str, Any]
    """JSON: what a report needs to draw the task and the best trajectory."""


class Seeker(Protocol):
    """Looks for the best trajectory of a task."""

    def __call__(self, task: str, key: int) -> Found:
        """Search; all randomness comes from `key`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Search:
    """Grow toward a goal, without learning."""

    tasks: tuple[str, ...]
    seekers: Mapping[str, Seeker]
    """By name; the first is the method, the others are what it is compared with, on the same keys."""
    repeats: int = 1
    """Searches per task and seeker."""

    def __post_init__(self) -> None:
        """Check that there is something to do."""
        if not self.tasks or not self.seekers or self.repeats < 1:
            raise SettingError(
                f"A search of {len(self.tasks)} tasks with {len(self.seekers)} seekers, {self.repeats} times, does "
                "nothing: give one of each at least."
            )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one repeat of an experiment came to on one task."""

    numbers: Mapping[str, Mapping[str, float]]
    """Arm to quantity to number, NaN where it cannot be had; the first arm is the method."""
    forests: Mapping[str, Forest]
    """What is worth keeping, by name."""
    scene: Mapping[str, Any]
    """JSON: what a report shows beside the numbers."""


class Experiment(Protocol):
    """Measures the arms of a comparison on a task, all from the same draws."""

    def __call__(self, task: str, key: int) -> Measured:
        """Measure; all randomness comes from `key`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a method beside what it is compared with, on the same keys."""

    tasks: tuple[str, ...]
    experiment: Experiment
    repeats: int = 1
    """Measurements per task."""

    def __post_init__(self) -> None:
        """Check that there is something to do."""
        if not self.tasks or self.repeats < 1:
            raise SettingError(
                f"An evaluation of {len(self.tasks)} tasks, {self.repeats} times, does nothing: give one of each."
            )


CREDITED = ("advantage", "value", "return", "feature.return")
"""Columns that a credit rule may write; the last holds one return per stream of rewards, for a critic."""
CURATED = ("keep", "weight", "label", "signal", "inclusion")
"""Columns and families that curation writes."""
Job: TypeAlias = Train | Curate | Search | Evaluate


class Builder(Protocol):
    """The `build` function of a recipe: settings with the paper's defaults to a job."""

    def __call__(self, **settings: Any) -> Job:
        """Build the job."""
        ...


def names() -> tuple[str, ...]:
    """Names of the recipes: files of the package, then entry points of group "milepost.recipes" (name = "module")."""
    own = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
    others = sorted(point.name for point in entry_points(group="milepost.recipes"))
    return tuple(name.replace("_", "-") for name in [*own, *(other for other in others if other not in own)])


def _module(name: str) -> str:
    if name not in names():
        raise unknown_name("recipe", name, names())
    stem = name.replace("-", "_")
    if (FOLDER / f"{stem}.py").is_file():
        return f"milepost.recipes.{stem}"
    return next(point.value for point in entry_points(group="milepost.recipes") if point.name.replace("_", "-") == name)


def card(name: str) -> Card:
    """Return the card of a recipe; cards of the package are read from the syntax tree, without importing the recipe.

    Args:
        name: recipe name as `milepost list` prints it.

    Returns:
        The card.

    Raises:
        UnknownName: no such recipe.
        FormatError: the file has no literal `CARD = Card(...)`.
    """
    module = _module(name)
    path = FOLDER / f"{module.rpartition('.')[2]}.py"
    if not module.startswith("milepost.recipes."):
        return cast("Card", import_module(module).CARD)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "CARD" for t in node.targets):
            call = node.value
            if isinstance(call, ast.Call) and not call.args and all(keyword.arg for keyword in call.keywords):
                try:
                    return Card(**{str(k.arg): ast.literal_eval(k.value) for k in call.keywords})
                except (ValueError, TypeError) as error:
                    raise FormatError(f"CARD of recipe {name!r} is not a literal Card(...): {error}.") from error
    raise FormatError(f"Recipe {name!r} has no line CARD = Card(...) with literal keyword arguments.")


def builder(name: str) -> Builder:
    """Import a recipe and return its `build` function.

    Args:
        name: recipe name as `milepost list` prints it.

    Returns:
        The function; its keyword-only parameters are the recipe's settings.

    Raises:
        UnknownName: no such recipe.
    """
    return cast("Builder", import_module(_module(name)).build)


def settings_of(name: str) -> Mapping[str, inspect.Parameter]:
    """Settings of a recipe: the keyword-only parameters of its `build`, by name.

    Args:
        name: recipe name as `milepost list` prints it.

    Returns:
        Name to parameter, with annotation and default.

    Raises:
        UnknownName: no such recipe.
    """
    return inspect.signature(builder(name)).parameters


def built(name: str, settings: Mapping[str, Any]) -> Job:
    """Build a recipe's job.

    Args:
        name: recipe name as `milepost list` prints it.
        settings: keyword arguments of its `build`.

    Returns:
        The job, whatever its kind.

    Raises:
        UnknownName: no such recipe or setting.
        SettingError: a setting has the wrong type.
    """
    known = settings_of(name)
    for one in settings:
        if one not in known:
            raise unknown_name(f"setting of recipe {name!r}", one, known)
    try:
        return builder(name)(**settings)
    except TypeError as error:
        raise SettingError(f"Recipe {name!r} cannot be built with {dict(settings)}: {error}.") from error
