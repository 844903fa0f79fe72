"""Protocols of the parts and the named records they exchange. A part is a frozen keyword-only dataclass that implements
one of them.

Imports no torch at run time, so that recipes can be listed without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from milepost.columns import End

if TYPE_CHECKING:
    from torch import Tensor

    from milepost.forest import Forest, Given

State: TypeAlias = Any
"""State of a part: a dataclass of tensors, numbers, strings, and tuples or mappings of them (see `milepost.state`)."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Something to do: a stable id, the JSON record that is enough to start and to score it, and its family."""

    id: str
    """Content-stable, such as "chain_sum:1000017"."""
    record: Mapping[str, Any]
    """JSON-able: everything the environment and the rewards need."""
    family: str = ""
    """Kind of task, such as the generator's name; statistics are kept per family."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the environment shows the policy."""

    text: str | None = None
    """Text shown, for language tasks."""
    messages: tuple[Mapping[str, str], ...] = ()
    """Chat messages (role, content), for policies with a chat template; empty: `text` is one user message."""
    array: Any = None
    """Array shown, for control tasks."""
    continues: bool = False
    """Whether the text stands in the policy's own turn: no turn is begun or ended around it."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """What the policy did, as the environment sees it."""

    text: str | None = None
    array: Any = None


@dataclass(frozen=True, kw_only=True)
class Start:
    """Answer of `Environment.reset`: the first observation, and the state from which steps can be taken, many times."""

    observation: Observation
    state: State


@dataclass(frozen=True, kw_only=True)
class Transition:
    """Answer of `Environment.step`: the state arrived at, what is seen there, and whether the trajectory ends."""

    observation: Observation | None
    """None when nothing is shown, as after a final answer."""
    state: State
    end: End = End.OPEN
    discount: float = 1.0
    """0 at termination, unchanged at truncation."""
    columns: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further values of the row, one per column name, such as "result" or "cost.environment_steps"."""


class Environment(Protocol):
    """What answers an action. Steps are functions of an explicit state: any step can be branched from, many times."""

    def reset(self, task: Task, key: int) -> Start:
        """Begin a task; all randomness comes from `key`."""
        ...

    def step(self, state: State, action: Action, key: int) -> Transition:
        """Answer an action taken in `state`, without changing `state`."""
        ...


class TaskEnvironment(Environment, Protocol):
    """An environment that offers tasks of its own: what a run is built on."""

    @property
    def stop(self) -> tuple[str, ...]:
        """Strings that end an action, for policies that write text; they stay part of it."""
        ...

    @property
    def embedded(self) -> str:
        """Name of the model that ships with milepost and knows such tasks."""
        ...

    def train(self) -> Sequence[Task]:
        """Return the training pool, the same each time."""
        ...

    def held_out(self) -> Sequence[Task]:
        """Return the evaluation pool, which shares nothing with the training pool that could be learned by heart."""
        ...


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """New steps proposed by a policy: the row each one follows, and the columns of the new rows."""

    parent: Tensor
    """int64, one existing row per proposal."""
    columns: Mapping[str, Given]
    """`tokens.*`, `text` or `action`, `log_prob`, `end` (OPEN unless the policy itself stopped early), `cost.*`."""


class Policy(Protocol):
    """What acts: proposes children of many rows at once, and gives the log-probability of stored steps."""

    @property
    def version(self) -> int:
        """Number of updates the policy has seen."""
        ...

    def encode(self, observations: Sequence[Observation], *, start: bool) -> Mapping[str, Given]:
        """Columns for what the environment said: at the start of a task, or after a step.

        After a step, the token columns are added to those of that step.
        """
        ...

    def propose(self, forest: Forest, rows: Tensor, keys: Tensor) -> Proposals:
        """Propose one child of `rows[i]` with the randomness of `keys[i]`, for every i; a row may occur many times."""
        ...

    def log_prob(self, forest: Forest, rows: Tensor) -> Tensor:
        """Log-probability of what is stored in `rows`, differentiable.

        One value per token of these rows, in order, 0 where the policy did not choose the token; without tokens one
        value per row.
        """
        ...


@runtime_checkable
class Greedy(Protocol):
    """A policy that can also take its likeliest answer."""

    def greedy(self) -> Policy:
        """The same policy, of the same weights, that always takes the likeliest answer."""
        ...


class Learner(Policy, Protocol):
    """A policy whose weights an engine trains."""

    @property
    def tokens_at_once(self) -> int:
        """Tokens whose graph fits in memory together; larger batches are differentiated in pieces."""
        ...

    def trainable(self) -> Mapping[str, Tensor]:
        """Parameters that receive gradients, by name, in a fixed order."""
        ...

    def advance(self) -> None:
        """Count one update: `version` rises by one."""
        ...

    def restore(self, tensors: Mapping[str, Tensor], version: int) -> None:
        """Load the parameters that `trainable` names, and set `version`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Inserted:
    """Text that no policy wrote, one step of its own below each row; the policy goes on from there."""

    shown: Sequence[Observation]
    """One per row, as `Policy.encode` reads it."""
    texts: Sequence[str]
    """What each adds to the text of the trajectory: "" where it is only shown."""
    branch_of: Tensor
    """int64: key of the step whose place it takes."""
    pool: Sequence[Observation] = ()
    """Everything that could have been drawn instead, each equally likely; empty where nothing was drawn."""
    train: bool = False
    """Whether the loss may touch its tokens."""


@dataclass(frozen=True, kw_only=True)
class Extension:
    """Answer of `Sampler.ask`: which rows get children and how many each, or what is inserted below them."""

    rows: Tensor
    counts: Tensor
    inserted: Inserted | None = None
    """Given: each row gets one inserted step, its count is 1, and the policy is not asked."""


class Sampler(Protocol):
    """Strategy on the frontier, ignorant of the domain. `ask` may be called when every earlier extension was told."""

    def init(self, forest: Forest, key: int) -> State:
        """State for a forest that holds roots only."""
        ...

    def ask(self, forest: Forest, state: State) -> Extension | None:
        """Rows to extend next, or None when nothing is left to do."""
        ...

    def tell(self, forest: Forest, rows: Tensor, state: State) -> State:
        """Learn which rows were added by the last extension."""
        ...


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a reward says of the rows it was asked about, in their order."""

    values: Tensor
    """float32; NaN allowed where not ok."""
    ok: Tensor
    """bool; false where the reward could not be had."""
    reasons: Sequence[str | None]
    """None where ok, else a code of `columns.REASONS`, with a detail after ': ' if there is one."""
    cost: Mapping[str, Tensor] = field(default_factory=dict[str, "Tensor"])
    """What each row cost by unit, such as "judge_tokens": added to `cost.<unit>`; failed rows cost too."""


class Selector(Protocol):
    """Chooses one of several siblings to go on from: what a truncated sampler executes."""

    def __call__(self, forest: Forest, rows: Tensor) -> Tensor:
        """For every parent of `rows` one of them, ordered by parent; none where none may be chosen.

        Randomness comes from the key of the parent, so the choice does not depend on the batch.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """What a chat model is asked."""

    messages: tuple[Mapping[str, str], ...]
    """Messages with "role" and "content"."""
    prompt: str = ""
    """Name and version of the prompt that wrote the messages, such as "query@1"."""
    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    """For sampling at a temperature above 0; two requests that differ in it are two draws."""
    choices: tuple[str, ...] = ()
    """Answers to compare instead of writing one: the reply carries the log-probability of each."""
    log_probs: bool = False
    """Whether the log-probabilities of the reply's tokens are wanted, where the model can say them."""


@dataclass(frozen=True, kw_only=True)
class ChatReply:
    """What came back, or why nothing did."""

    text: str = ""
    end: Literal["stop", "length", "refused", "timeout", "error", "absent"]
    """"stop" is a whole answer, "length" was cut off; "timeout" and "error" brought none, "absent" was never asked."""
    detail: str = ""  # why, where there is no answer
    choices: tuple[float, ...] = ()  # of each choice of the request, in nats; empty where the model cannot say
    log_probs: tuple[float, ...] = ()  # of each token of the text, in nats; empty where the model does not say
    calls: int = 1  # requests made, repeats included
    tokens: int = 0  # read and written, as the model counts them
    seconds: float = 0.0


class Chat(Protocol):
    """Something that answers messages: a server, a local model, a recording."""

    @property
    def model(self) -> str:
        """What answers, in words that differ when the answers may differ: part of the identity of a reply."""
        ...

    def reply(self, requests: Sequence[ChatRequest]) -> Sequence[ChatReply]:
        """Answer every request, in order. A request that cannot be answered has a reply that says why."""
        ...


class Reward(Protocol):
    """Looks at steps and gives one number each, or says why it cannot."""

    when: ClassVar[Literal["step", "leaf"]]
    """Whether every step is scored or leaves only."""
    side: ClassVar[Literal["before", "after"]]
    """Whether the number belongs to the state before or after the step."""

    @property
    def name(self) -> str:
        """Name of the columns `reward.<name>`, `ok.<name>`, `reason.<name>`."""
        ...

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest possible value."""
        ...

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score the given rows."""
        ...


class Credit(Protocol):
    """Turns rewards into `advantage` per step."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns it needs."""
        ...

    @property
    def writes(self) -> tuple[str, ...]:
        """Columns it adds."""
        ...

    def __call__(self, forest: Forest) -> Forest:
        """Return the forest with the written columns."""
        ...


@runtime_checkable
class StatefulCredit(Protocol):
    """A credit rule that remembers something between batches."""

    def init(self) -> State:
        """State before the first batch."""
        ...

    def apply(self, forest: Forest, state: State) -> tuple[Forest, State]:
        """Return the forest with the written columns, and the next state."""
        ...


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A scalar to minimise and the numbers that explain it, named `stage/quantity`."""

    loss: Tensor
    metrics: Mapping[str, float]


class Objective(Protocol):
    """Advantages and log-probabilities to a loss."""

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:
        """Loss of the forest's steps.

        `log_prob` has one value per token of the forest (per row where there are no tokens), `reference` the same under
        the reference policy; it is given when the objective's `needs_reference` is true.
        """
        ...

    @property
    def needs_reference(self) -> bool:
        """Whether log-probabilities under a reference policy are needed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Tasks drawn from a pool: their positions in it, with repeats allowed, and the next state."""

    tasks: Tensor
    state: State


class TaskChoice(Protocol):
    """Which tasks of the pool to roll out next."""

    def init(self, pool: Sequence[Task], key: int) -> State:
        """State before the first draw."""
        ...

    def refresh(self, state: State) -> Tensor | None:
        """Positions of tasks to roll out for scoring before the next draw, or None. Their cost counts."""
        ...

    def update(self, state: State, forest: Forest, *, scoring: bool) -> State:
        """Learn from a scored forest; `scoring` says that it was grown because `refresh` asked for it."""
        ...

    def draw(self, state: State, count: int) -> Drawn:
        """Positions of the next `count` tasks."""
        ...
