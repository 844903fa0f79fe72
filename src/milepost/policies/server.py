"""Any server that speaks OpenAI's chat protocol, such as vLLM, SGLang and llama.cpp, as something that answers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import urlsplit

from milepost import checks, keys, optional
from milepost.errors import SettingError
from milepost.part import ChatReply, ChatRequest

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
"""Pause before the second attempt, doubled with each further one, and the longest pause."""
DEAD_AFTER = 3
"""Requests in a row that used up their attempts; the rest of the batch is not asked then."""
CHOICES_SHOWN = 20
"""Most likely tokens asked for when verdict words are compared; what most servers allow at most."""
_SETUP = {401: "refuses the key", 403: "refuses access", 404: "does not know the model or the path"}


@dataclass(kw_only=True, eq=False)
class Server:
    """A connection to a server. Implements `part.Chat`.

    A request is tried again, after a pause that doubles, when the connection fails, the server takes too long, or it
    answers 408, 409, 429 or 5xx. The order of replies is that of the requests, however many are under way at once.

    Example:
        >>> Server(base_url="http://127.0.0.1:8000/v1", name="judge").model
        'judge'
    """

    base_url: str
    """Such as "http://127.0.0.1:8000/v1"; without a password, which would be stored with the settings."""
    name: str
    """Name of the model, as the server knows it."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; unset: no key. The key itself is stored nowhere."""
    timeout_s: float = 60.0
    """Longest silence of the server in one attempt."""
    retries: int = 3
    """Further attempts after the first."""
    concurrency: int = 8
    """Requests under way at once."""
    first_wait_s: float = FIRST_WAIT_S
    """Pause before the second attempt."""

    def __post_init__(self) -> None:
        """Check the settings; the connection is made when it is first needed."""
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingError(f"base_url={parts.geturl()!r} is no address: expected http://host:port/v1.")
        if parts.username or parts.password:
            raise SettingError("base_url holds a user name or a password: put the key into an environment variable.")
        checks.not_empty("name", self.name)
        checks.positive("timeout_s", self.timeout_s)
        checks.at_least("retries", self.retries, 0)
        checks.at_least("concurrency", self.concurrency, 1)
        checks.positive("first_wait_s", self.first_wait_s)
        self._lock, self._client = threading.Lock(), cast("Any", None)

    @property
    def model(self) -> str:
        """The model's name."""
        return self.name

    def reply(self, requests: Sequence[ChatRequest]) -> Sequence[ChatReply]:
        """Ask the server; see `part.Chat`.

        Raises:
            SettingError: the server refuses the key or does not know the model: every request would fail alike.
            MissingExtra: the package openai is not installed.
        """
        if not requests:
            return []
        batch = _Batch(client=self._connected(), server=self)
        with ThreadPoolExecutor(max_workers=min(self.concurrency, len(requests))) as pool:
            found = list(pool.map(batch.answer, requests))
        if batch.setup is not None:
            raise SettingError(batch.setup)
        return found

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                openai = optional.load("openai", extra="judge", purpose="A model behind a server")
                key = os.environ.get(self.key_variable, "") or "none"
                self._client = openai.OpenAI(base_url=self.base_url, api_key=key, timeout=self.timeout_s, max_retries=0)
            return self._client


@dataclass(kw_only=True, eq=False)
class _Batch:
    """Requests that are under way together, and what they learnt of the server."""

    client: Any
    server: Server
    failed: int = 0
    """Requests that used up their attempts since the last answer."""
    setup: str | None = None
    """Why no request can succeed."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: ChatRequest) -> ChatReply:
        """Ask until there is an answer, the attempts are used up, or there is no point in asking."""
        began, detail, end = time.monotonic(), "", cast("Any", "error")
        for attempt in range(self.server.retries + 1):
            if self.setup is not None or self.failed >= DEAD_AFTER:
                told = detail or f"not asked: the server {self.server.base_url} does not answer"
                return ChatReply(end=end if attempt else "absent", detail=told, calls=attempt)
            found = self._attempt(request)
            if isinstance(found, ChatReply):
                self._note(failed=False)
                return replace(found, calls=attempt + 1, seconds=time.monotonic() - began)
            if found.setup is not None:
                self.setup = found.setup
            if not found.again:
                self._note(failed=False)
                return ChatReply(end="error", detail=found.detail, calls=attempt + 1, seconds=time.monotonic() - began)
            detail, end = found.detail, "timeout" if found.timed_out else "error"
            if attempt < self.server.retries:
                time.sleep(self._pause(request, attempt, found.wait_s))
        self._note(failed=True)
        calls = self.server.retries + 1
        return ChatReply(end=end, detail=detail, calls=calls, seconds=time.monotonic() - began)

    def _note(self, *, failed: bool) -> None:
        with self.lock:
            self.failed = self.failed + 1 if failed else 0

    def _pause(self, request: ChatRequest, attempt: int, asked_s: float) -> float:
        """Double with each attempt, between half and the whole of it, or what the server asks for."""
        share = float(keys.uniform([keys.fold(0, "pause", keys.digest(vars(request)), attempt)], 1)[0, 0])
        own = self.server.first_wait_s * 2**attempt * (1 + share) / 2
        return min(max(own, asked_s), LONGEST_WAIT_S)

    def _attempt(self, request: ChatRequest) -> ChatReply | _Trouble:
        openai = optional.load("openai", extra="judge", purpose="A model behind a server")
        try:
            return _read(self.client.chat.completions.create(**self._arguments(request)), request)
        except openai.APITimeoutError:
            return _Trouble(detail=f"no answer within {self.server.timeout_s:g} s", again=True, timed_out=True)
        except openai.APIStatusError as error:
            return self._refused(int(error.status_code), error)
        except openai.APIConnectionError as error:
            return _Trouble(detail=f"the server {self.server.base_url} cannot be reached: {error}", again=True)
        except (openai.OpenAIError, ValueError, TypeError, AttributeError, LookupError) as error:
            return _Trouble(detail=f"the server's answer cannot be read: {type(error).__name__}: {error}", again=False)

    def _refused(self, status: int, error: Any) -> _Trouble:
        setup = None
        if status in _SETUP:
            setup = (
                f"The server {self.server.base_url} {_SETUP[status]} (status {status}) for the model "
                f"{self.server.name!r}: {str(error)[:200]}. The key is read from {self.server.key_variable}."
            )
        given = str(error.response.headers.get("retry-after", ""))
        wait_s = float(given) if given.replace(".", "", 1).isdigit() else 0.0
        again = status in (408, 409, 429) or status >= 500
        return _Trouble(detail=f"the server answered {status}: {error}", again=again, wait_s=wait_s, setup=setup)

    def _arguments(self, request: ChatRequest) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": self.server.name,
            "messages": [dict(message) for message in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
        }
        if request.temperature > 0:
            arguments["seed"] = request.seed
        if request.log_probs or request.choices:
            arguments["logprobs"] = True
        return arguments | ({"top_logprobs": CHOICES_SHOWN} if request.choices else {})


@dataclass(frozen=True, kw_only=True)
class _Trouble:
    """Why an attempt failed, and what to do about it."""

    detail: str
    again: bool
    timed_out: bool = False
    wait_s: float = 0.0
    """What the server asks to wait."""
    setup: str | None = None


def _read(completion: Any, request: ChatRequest) -> ChatReply:
    """Read a chat completion; a server may leave out anything."""
    choice = completion.choices[0]
    message, usage = choice.message, completion.usage
    tokens = int(usage.total_tokens) if usage is not None else 0
    steps: list[Any] = list(getattr(choice.logprobs, "content", None) or [])
    if message.refusal or choice.finish_reason == "content_filter":
        return ChatReply(end="refused", detail=str(message.refusal or "filtered"), tokens=tokens)
    if request.choices:
        compared = _compared(steps, request.choices)
        return ChatReply(end="stop", text=message.content or "", choices=compared, tokens=tokens)
    if choice.finish_reason not in ("stop", "length"):
        return ChatReply(end="error", detail=f"the reply ended with {choice.finish_reason!r}", tokens=tokens)
    log_probs = tuple(float(step.logprob) for step in steps)
    return ChatReply(end=choice.finish_reason, text=message.content or "", log_probs=log_probs, tokens=tokens)


def _compared(steps: Sequence[Any], choices: Sequence[str]) -> tuple[float, ...]:
    """Log-probability of each choice as the first token; empty unless the server names every one of them."""
    known: dict[str, float] = {}
    for one in steps[0].top_logprobs if steps else []:
        word = str(one.token).strip()
        known[word] = max(known.get(word, -float("inf")), float(one.logprob))
    return tuple(known[choice] for choice in choices) if all(choice in known for choice in choices) else ()
