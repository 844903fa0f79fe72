"""Text adventures by TextWorld: generated games whose facts and solutions are known, played in pure Python.

The text that is shown is written from the facts of the game, so no compiled story is needed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

from milepost import checks, optional
from milepost.columns import End
from milepost.environments.action import MALFORMED, parse
from milepost.errors import SettingError
from milepost.part import Action, Observation, Start, Task, Transition

ACT = "act"
INSTRUCTION = (
    "Play the game. In each turn, write one of the possible commands: <act>the command</act> and nothing after it."
)
FIRST_SEED: Mapping[str, int] = {"demonstration": 0, "train": 1_000_000, "held_out": 2_000_000}
"""Seed of the first game of each pool."""
POOL_SEEDS = 100_000
HELD_OUT_ONE_IN = 5
"""One game in this many belongs to the held-out pool, by its facts and its solution."""
IDLE = ("examine ", "inventory", "look")
"""Commands that change nothing and show nothing new: possible, but not listed."""
NOT_POSSIBLE = "That is not possible."

Pool = Literal["demonstration", "train", "held_out"]


@dataclass(frozen=True, kw_only=True)
class _Game:
    """A generated game with what translates its actions into commands."""

    game: Any
    speech: Any

    def commands(self, actions: Sequence[Any]) -> list[str]:
        return list(self.speech.gen_commands_from_actions(actions))

    def name(self, thing: str) -> str:
        return str(self.game.infos[thing].name or thing)


@lru_cache(maxsize=512)
def _game(seed: int, rooms: int, objects: int, quest: int) -> _Game:
    generator = optional.load("textworld.generator", extra="textworld", purpose="A TextWorld game")
    speech = optional.load("textworld.generator.inform7", extra="textworld", purpose="A TextWorld game")
    options = generator.GameOptions()
    options.seeds, options.nb_rooms, options.nb_objects, options.quest_length = seed, rooms, objects, quest
    made = generator.make_game(options)
    return _Game(game=made, speech=speech.Inform7Game(made))


@lru_cache(maxsize=4096)
def _played(shape: tuple[int, int, int, int], commands: tuple[str, ...]) -> Any:
    """The game after the given commands. What is returned is shared: copy it before it is changed."""
    game = _game(*shape)
    if not commands:
        rules = optional.load("textworld.generator.game", extra="textworld", purpose="A TextWorld game")
        return rules.GameProgression(game.game, track_quests=True)
    went = _played(shape, commands[:-1]).copy()
    known = game.commands(went.valid_actions)
    went.update(went.valid_actions[known.index(commands[-1])])
    return went


@dataclass(frozen=True, kw_only=True)
class GameState:
    """Where a game is: which game it is, and the commands that had an effect."""

    seed: int
    rooms: int
    objects: int
    quest: int
    commands: tuple[str, ...] = ()
    turns: int = 0
    """Actions taken, those without effect included."""
    ended: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """What a game is generated from."""
        return self.seed, self.rooms, self.objects, self.quest


@dataclass(frozen=True, kw_only=True)
class TextWorld:
    """Generated text adventures. Implements `part.TaskEnvironment`.

    Generating a game takes about 0.2 s.
    """

    rooms: int = 3
    objects: int = 4
    quest: int = 3
    """Commands that the shortest solution needs, at most."""
    turns: int = 10
    """Actions of a trajectory; the last one that does not end the game ends it with TURN_LIMIT."""
    train_size: int = 64
    """Games in the training pool."""
    held_out_size: int = 32
    """Games in the held-out pool."""
    stop = (f"</{ACT}>",)
    embedded = "embedded"

    def __post_init__(self) -> None:
        """Check the sizes."""
        for name in ("rooms", "objects", "quest", "turns"):
            checks.at_least(name, getattr(self, name), 1)
        checks.at_least("train_size", self.train_size, 0)
        checks.at_least("held_out_size", self.held_out_size, 0)

    def train(self) -> tuple[Task, ...]:
        """Return the training pool: seeds from 1,000,000 on, no game of the held-out side."""
        return self.pool("train", self.train_size)

    def held_out(self) -> tuple[Task, ...]:
        """Return the held-out pool: seeds from 2,000,000 on, only games of the held-out side, each one once."""
        return self.pool("held_out", self.held_out_size)

    def pool(self, pool: Pool, count: int) -> tuple[Task, ...]:
        """Return the first games of a pool.

        Args:
            pool: which one; "demonstration" is on the training side of the split.
            count: number of games.

        Returns:
            The tasks, no game twice; a longer pool begins with the shorter one.

        Raises:
            MissingExtra: TextWorld is not installed.
        """
        return tuple(islice(self._tasks(pool), count))

    def _tasks(self, pool: Pool) -> Iterator[Task]:
        seen = set[str]()
        for seed in range(FIRST_SEED[pool], FIRST_SEED[pool] + POOL_SEEDS):
            state = GameState(seed=seed, rooms=self.rooms, objects=self.objects, quest=self.quest)
            game, went = _game(*state.shape), _played(state.shape, ())
            solution = game.commands(went.winning_policy or ())
            text = json.dumps([_look(game, went, commands=False), sorted(_facts(went)), solution])
            digest = hashlib.blake2b(text.encode(), digest_size=8)
            held_out = int.from_bytes(digest.digest(), "little") % HELD_OUT_ONE_IN == 0
            if held_out == (pool == "held_out") and solution and digest.hexdigest() not in seen:
                seen.add(digest.hexdigest())
                record = {
                    "verifier": "exact",
                    "source": "textworld",
                    "prompt": f"{game.game.objective}\n{_look(game, went)}",
                    "answer": "won",
                    **{name: getattr(state, name) for name in ("seed", "rooms", "objects", "quest")},
                    "plan": solution,
                }
                yield Task(
                    id=f"textworld:{self.rooms}-{self.objects}-{self.quest}:{seed}", record=record, family="textworld"
                )

    def reset(self, task: Task, key: int) -> Start:  # noqa: ARG002 - the game is made from its seed
        """Begin the game of the task."""
        seed, rooms, objects, quest = (int(task.record[name]) for name in ("seed", "rooms", "objects", "quest"))
        state = GameState(seed=seed, rooms=rooms, objects=objects, quest=quest)
        text = str(task.record["prompt"])
        messages = ({"role": "system", "content": INSTRUCTION}, {"role": "user", "content": text})
        return Start(observation=Observation(text=text, messages=messages), state=state)

    def step(self, state: GameState, action: Action, key: int) -> Transition:  # noqa: ARG002
        """Carry out a command; one that is malformed or not possible costs a turn and changes nothing.

        The columns are `call` (JSON: "action" is "act" or "malformed", with "command" or "fault", and "thought";
        "answer" is "won" or "lost" where the game ended), `result` (the text shown), `extra.score` (share of the
        highest score) and `extra.progress` (commands by which the shortest solution became shorter; missing where there
        is none).

        Raises:
            SettingError: the game has ended.
        """
        if state.ended:
            raise SettingError("This game has ended: start again with reset, or step from an earlier state.")
        parsed, before = parse(action.text or "", (ACT,)), _played(state.shape, state.commands)
        game, commands = _game(*state.shape), state.commands
        possible = parsed.kind == ACT and parsed.content in game.commands(before.valid_actions)
        if possible:
            commands = (*commands, parsed.content)
        went = _played(state.shape, commands)
        call: dict[str, Any] = {"action": parsed.kind, "thought": parsed.thought}
        call |= {"fault": parsed.fault} if parsed.kind == MALFORMED else {"command": parsed.content}
        if went.completed or went.failed:
            call["answer"] = "won" if went.completed else "lost"
        told = "" if possible else f"malformed action: {parsed.fault}\n" if parsed.fault else f"{NOT_POSSIBLE}\n"
        after = dataclasses.replace(state, commands=commands, turns=state.turns + 1, ended="answer" in call)
        return self._transition(after, call, told + _look(game, went), _numbers(game, before, went))

    def _transition(
        self, state: GameState, call: Mapping[str, Any], text: str, numbers: Mapping[str, Any]
    ) -> Transition:
        end = End.TERMINATED if state.ended else End.TURN_LIMIT if state.turns >= self.turns else End.OPEN
        state = dataclasses.replace(state, ended=end != End.OPEN)
        return Transition(
            observation=Observation(text=text) if end == End.OPEN else None,
            state=state,
            end=end,
            discount=0.0 if end == End.TERMINATED else 1.0,
            columns={"call": json.dumps(call), "result": text, **numbers, "cost.environment_steps": 1.0},
        )


def _numbers(game: _Game, before: Any, went: Any) -> dict[str, float | None]:
    far, near = _distance(before), _distance(went)
    return {
        "extra.score": went.score / game.game.max_score if game.game.max_score else 0.0,
        "extra.progress": None if far is None or near is None else float(far - near),
    }


def _distance(went: Any) -> int | None:
    """Commands of the shortest known solution from here; None where the game cannot be won any more."""
    if went.completed:
        return 0
    return None if went.failed or went.winning_policy is None else len(went.winning_policy)


def _facts(went: Any) -> list[str]:
    return [str(fact) for fact in went.state.facts]


def _look(game: _Game, went: Any, *, commands: bool = True) -> str:
    """What one sees, from the facts: the room, its exits, things and what is on and in them, and what one carries."""
    facts = sorted(went.state.facts, key=str)
    at = {fact.arguments[0].name: fact.arguments[1].name for fact in facts if fact.name in ("at", "on", "in")}
    here = at["P"]
    states = {f.arguments[0].name: f.name for f in facts if f.name in ("open", "closed", "locked")}

    def shown(thing: str) -> str:
        inside = [shown(other) for other, place in at.items() if place == thing and states.get(thing, "open") == "open"]
        parts = [states[thing]] if thing in states else []
        parts += [f"holding {', '.join(inside)}"] if inside else []
        return game.name(thing) + (f" ({'; '.join(parts)})" if parts else "")

    def seen(place: str) -> str:
        return ", ".join(shown(thing) for thing, where in at.items() if where == place and thing != "P") or "nothing"

    doors = {fact.arguments[2].name: fact.arguments[1].name for fact in facts if _is(fact, "link", here)}
    exits = [
        fact.name.removesuffix("_of") + (f" ({shown(doors[way])})" if (way := fact.arguments[0].name) in doors else "")
        for fact in facts
        if fact.name.endswith("_of") and fact.arguments[1].name == here
    ]
    lines = [f"You are in the {game.name(here)}. You see {seen(here)}. Exits: {', '.join(exits) or 'none'}."]
    lines.append(f"You carry {seen('I')}.")
    if commands:
        known = sorted(set(game.commands(went.valid_actions)))
        lines.append(f"You can: {', '.join(one for one in known if not one.startswith(IDLE))}.")
    return "\n".join(lines)


def _is(fact: Any, name: str, first: str) -> bool:
    return fact.name == name and fact.arguments[0].name == first
