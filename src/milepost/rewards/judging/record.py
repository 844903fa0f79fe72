"""Replies kept on disk: a cache that saves asking twice, and a recording that needs nobody to ask.

A file of JSON lines, one reply per line, that is only ever appended to. A line that was cut short by a kill is left out
when the file is read, and cut off before the next line is written.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, cast

from milepost import keys
from milepost.errors import FormatError, SettingError
from milepost.part import Chat, ChatReply, ChatRequest

SCHEMA = 1
"""Version of the lines; another one is refused."""
KEPT = ("stop", "length", "refused")
"""Ends that are kept: what the model said. That a server did not answer is no reply."""
LONGEST_LINE = 4 << 20
"""Bytes of a line that is read; a longer one is not a reply."""


@dataclass(kw_only=True, eq=False)
class ReplyFile:
    """Replies by model and request, shared by threads and, through a lock on the file, by processes."""

    path: Path

    def __post_init__(self) -> None:
        """Nothing is read before the first reply is looked for."""
        self._lock, self._known, self._end = threading.Lock(), dict[str, ChatReply](), 0

    def find(self, model: str, requests: Sequence[ChatRequest]) -> list[ChatReply | None]:
        """Look replies up.

        Args:
            model: what answered.
            requests: what was asked.

        Returns:
            The reply to each request, None where none was kept.

        Raises:
            FormatError: the file holds a whole line that is no reply.
        """
        with self._lock:
            if self.path.is_file():
                with self.path.open("rb") as file:
                    self._catch_up(file)
            return [self._known.get(_key(model, request)) for request in requests]

    def keep(self, model: str, requests: Sequence[ChatRequest], replies: Sequence[ChatReply]) -> None:
        """Append replies; what was kept before, and what is no reply, is left out.

        Args:
            model: what answered.
            requests: what was asked.
            replies: what came back.

        Raises:
            FormatError: the file holds a whole line that is no reply.
        """
        with self._lock, _locked(self.path) as file:
            self._catch_up(file)
            lines: list[bytes] = []
            for request, reply in zip(requests, replies, strict=True):
                key = _key(model, request)
                if reply.end in KEPT and key not in self._known:
                    self._known[key] = reply
                    lines.append(_line(key, model, request, reply))
            if lines:
                file.truncate(self._end)
                file.seek(self._end)
                file.write(b"".join(lines))
                file.flush()
                os.fsync(file.fileno())
                self._end = file.tell()

    def _catch_up(self, file: BinaryIO) -> None:
        """Read the lines that were added since the last look, whoever added them."""
        if os.fstat(file.fileno()).st_size < self._end:  # another file under the same name
            self._known, self._end = {}, 0
        file.seek(self._end)
        while (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
            key, reply = _read(line, self.path)
            self._known[key] = reply
            self._end = file.tell()
        if len(line) >= LONGEST_LINE:
            raise FormatError(f"{self.path} has a line of more than {LONGEST_LINE} bytes: it is no file of replies.")


@dataclass(kw_only=True, eq=False)
class Cached:
    """Asks only what was not asked before. Implements `part.Chat`.

    The key is the model, the prompt with its version, and a hash of everything that is asked. Equal requests of one
    batch are asked once. Failures are not kept: they are asked again the next time.
    """

    chat: Chat
    file: Path
    """Made when the first reply is kept."""

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self._replies = ReplyFile(path=Path(self.file))

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self.chat.model

    def reply(self, requests: Sequence[ChatRequest]) -> Sequence[ChatReply]:
        """Look up, ask what is missing, keep what came back; see `part.Chat`."""
        known = self._replies.find(self.model, requests)
        keyed = [(keys.digest(vars(request)), request) for request in requests]
        missing = dict(one for one, found in zip(keyed, known, strict=True) if found is None)
        fresh = dict[str, ChatReply]()
        if missing:
            asked = list(missing.values())
            fresh = dict(zip(missing, self.chat.reply(asked), strict=True))
            self._replies.keep(self.model, asked, list(fresh.values()))
        return [found or fresh[key] for (key, _), found in zip(keyed, known, strict=True)]


@dataclass(kw_only=True, eq=False)
class Replay:
    """Answers from a recording, and asks nobody. Implements `part.Chat`.

    A request that was not recorded is an error, or with `missing_fails=False` a reply that says so: a row that is not
    ok.
    """

    file: Path
    """What `Cached` wrote."""
    model: str
    """The model whose replies are wanted."""
    missing_fails: bool = True
    """Whether a request that was not recorded ends the run."""

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self._replies = ReplyFile(path=Path(self.file))

    def reply(self, requests: Sequence[ChatRequest]) -> Sequence[ChatReply]:
        """Look up every request; see `part.Chat`.

        Raises:
            SettingError: a request was not recorded, and `missing_fails`.
        """
        known = self._replies.find(self.model, requests)
        if self.missing_fails and None in known:
            request = requests[known.index(None)]
            raise _not_recorded(self, request, sum(one is None for one in known), len(known))
        return [one or ChatReply(end="absent", detail="it was not recorded", calls=0) for one in known]


def cached(chat: Chat, file: str) -> Chat:
    """Keep the replies of a chat model in a file.

    Args:
        chat: what is asked.
        file: where its replies are kept; "" keeps none.

    Returns:
        The same model, asked only what was not asked before.
    """
    return Cached(chat=chat, file=Path(file)) if file else chat


def _not_recorded(replay: Replay, request: ChatRequest, missing: int, asked: int) -> SettingError:
    return SettingError(
        f"{replay.file} holds no reply of {replay.model!r} to {missing} of {asked} requests, the first one of prompt "
        f"{request.prompt!r} ({keys.digest(vars(request))}). Record them with `Cached`, or set missing_fails=False."
    )


@contextmanager
def _locked(path: Path) -> Generator[BinaryIO]:
    """Open a file for reading and appending, made where it does not exist, for one process at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _key(model: str, request: ChatRequest) -> str:
    return f"{model}|{keys.digest(vars(request))}"


def _line(key: str, model: str, request: ChatRequest, reply: ChatReply) -> bytes:
    record = {"schema": SCHEMA, "key": key, "model": model, "prompt": request.prompt, "reply": asdict(reply)}
    return json.dumps(record, ensure_ascii=True, sort_keys=True).encode("ascii") + b"\n"


def _read(line: bytes, path: Path) -> tuple[str, ChatReply]:
    try:
        record = cast("Mapping[str, Any]", json.loads(line))
        if record["schema"] != SCHEMA:
            raise FormatError(
                f"{path} has lines of version {record['schema']}, this milepost reads version {SCHEMA}: "
                "read it with the version that wrote it."
            )
        return str(record["key"]), _reply(record["reply"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(
            f"{path} has a line that is no reply ({error}): {line[:80]!r}. Expected JSON lines."
        ) from error


def _reply(given: Mapping[str, Any]) -> ChatReply:
    known = {field.name for field in fields(ChatReply)}
    if set(given) != known or given["end"] not in KEPT or not isinstance(given["text"], str):
        raise ValueError(f"its fields are {sorted(given)}")
    return ChatReply(
        end=given["end"],
        text=given["text"],
        detail=str(given["detail"]),
        choices=tuple(float(one) for one in given["choices"]),
        log_probs=tuple(float(one) for one in given["log_probs"]),
        calls=int(given["calls"]),
        tokens=int(given["tokens"]),
        seconds=float(given["seconds"]),
    )
