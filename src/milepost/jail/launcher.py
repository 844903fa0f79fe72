"""The process that serves one program: it loads what the program may import, gives up its rights, and forks for every
call. Run as `python -m milepost.jail.launcher`.

The first fork attends the call: it reads the request, forks a child, hears it, sends the reply, and ends. The child
runs the program, and can no longer do anything but compute and write to its own pipe. So the serving process never
holds a request or a reply, and a child inherits nothing of another call: it has left the frames of those who forked it.

Everything that reads files happens before the rights are given up.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import hashlib
import importlib
import json
import math
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from milepost.errors import SandboxError
from milepost.jail import frames, landlock, seccomp, still

OFFERED = (
    "abc", "bisect", "cmath", "collections", "collections.abc", "copy", "dataclasses", "decimal", "enum", "fractions",
    "functools", "heapq", "itertools", "json", "math", "numbers", "operator", "random", "re", "statistics", "string",
    "textwrap", "time", "types", "typing", "unicodedata",
)  # fmt: skip
"""Modules that every program may import; whatever else is not in memory cannot be loaded, because no file can be."""

_PARENT_DEATH_SIGNAL, _DUMPABLE = 1, 4
_NOBODY = 65534
_ANSWER = 3
_MESSAGE = 300
_CONFINED = b"confined"
"""First thing that a child says; only what it says instead of this can tell that it could not be confined."""
_ROOM, _COPIES = 64 << 20, 32
"""Memory of the process that attends a call: this, and so many times what it may hear, as bytes, text and JSON."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is served: the first message of the parent."""

    source: str
    entry: str
    arrays: bool
    packages: Sequence[str]
    """Packages to load beside `OFFERED`, from the folders of `paths`."""
    paths: Sequence[str]
    confined: bool
    """False runs the program with all rights of the parent: level "off"."""
    timeout_s: float
    memory_bytes: int
    output_bytes: int
    answer_bytes: int


def _load(order: Order) -> None:
    """Import what the program may use; later imports would have to read files."""
    sys.path[:0] = order.paths
    for name in (*OFFERED, *order.packages):
        importlib.import_module(name)
    if "numpy" in order.packages:
        importlib.import_module("numpy.random")
        importlib.import_module("numpy.linalg")
    time.strftime("%c", time.localtime(0))  # reads the zone of the machine
    for text in ("ascii", "latin-1", "utf-16", "utf-32", "idna"):
        "".encode(text)
    if order.confined:
        sys.path.clear()


def _give_up(order: Order) -> list[str]:
    """Everything that the children give up together with this process."""
    if not order.confined:
        return []
    os.environ.clear()
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(kind, (0, 0))
    return ["landlock:" + ",".join(landlock.restrict())]


# ---- in the child ----


@dataclass(frozen=True, kw_only=True)
class _Call:
    """What one child is for."""

    order: Order
    inputs: Sequence[Mapping[str, Any]]
    ends: tuple[int, int]
    """Where its answers and its prints go."""
    size: int
    """Memory of the process that it was forked from."""
    clocks: Sequence[tuple[int, int]]
    """Memory in which the kernel keeps the time."""


def _confine(call: _Call) -> None:
    """Last steps of a child; after them it can read, write, and handle memory, and nothing else."""
    order, size, calls = call.order, call.size, len(call.inputs)
    seconds = math.ceil(order.timeout_s * calls) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (size + order.memory_bytes, size + order.memory_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    _control(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    _control(_DUMPABLE, 0)
    still.cover(call.clocks)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("ctypes", "_ctypes", "milepost")]:
        del sys.modules[name]  # only spares the program a detour: the filter holds with them, too
    seccomp.install(seccomp.answering())


def _control(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise SandboxError(f"The kernel refused prctl option {option}.")


def _seed(order: Order, inputs: Mapping[str, Any]) -> None:
    """Seed what draws: the same input gives the same answer."""
    seed = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).digest()
    sys.modules["random"].seed(seed)
    if "numpy" in order.packages:
        sys.modules["numpy.random"].seed(int.from_bytes(seed[:4], "big"))


def _as_arrays(value: Any) -> Any:
    """Lists of numbers as arrays, at any place of an input."""
    if isinstance(value, dict):
        return {key: _as_arrays(item) for key, item in value.items()}
    if isinstance(value, list) and value:
        array = sys.modules["numpy"].array(value)
        return array if array.dtype.kind in "bif" else [_as_arrays(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    """What JSON does not know: NumPy's numbers and arrays have `tolist`."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"the program answered {type(value).__name__}, expected numbers, strings, lists or mappings")


def _read(order: Order) -> Any:
    """Run the text of the program and return the function that it names, or the words for why there is none."""
    try:
        names: dict[str, Any] = {"__name__": "program", "__builtins__": __builtins__}
        exec(order.source, names)  # noqa: S102 - the one place where a program is run, and nothing is left to reach
        return names[order.entry]
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the program's answer
        return _told(error)


def _compute(order: Order, function: Any, inputs: Mapping[str, Any]) -> bytes:
    if isinstance(function, bytes):
        return function
    try:
        given = {key: _as_arrays(value) for key, value in inputs.items()} if order.arrays else inputs
        return json.JSONEncoder(default=_plain).encode({"value": function(**given)}).encode()
    except BaseException as error:  # noqa: BLE001
        return _told(error)


def _told(error: BaseException) -> bytes:
    """The error in words; also the words are the program's and may fail."""
    if isinstance(error, MemoryError | RecursionError):
        return b'{"limit": "memory"}' if isinstance(error, MemoryError) else b'{"limit": "depth of calls"}'
    try:
        text = f"{type(error).__name__}: {error}"[:_MESSAGE]
    except BaseException:  # noqa: BLE001
        text = "an error that cannot be shown"
    return json.dumps({"error": text}).encode("ascii", "replace")


def _child(call: _Call) -> NoReturn:
    """Answer every input and end."""
    order = call.order
    try:
        os.dup2(call.ends[0], _ANSWER)
        os.dup2(call.ends[1], 1)
        os.dup2(call.ends[1], 2)
        os.close(0)
        os.closerange(_ANSWER + 1, 256)
        still.freeze()
        _seed(order, call.inputs[0])
        if order.confined:
            _confine(call)
    except BaseException as error:  # noqa: BLE001 - a child that is not confined must not run the program
        frames.send(_ANSWER, f"unconfined: {type(error).__name__}: {error}"[:_MESSAGE].encode("ascii", "replace"))
        os._exit(0)
    frames.send(_ANSWER, _CONFINED)
    function = _read(order)
    for one in call.inputs:
        _seed(order, one)
        text = _compute(order, function, one)
        with contextlib.suppress(OSError, ValueError, RuntimeError, AttributeError):
            sys.stdout.flush()
        frames.send(_ANSWER, text)
    os._exit(0)


# ---- in the process that attends a call ----


@dataclass(kw_only=True)
class _Heard:
    """What a child has said so far."""

    asked: int
    """Answers that it may give: with one more the last does not count, and a flood of them cannot fill the memory."""
    answers: list[str] = field(default_factory=list[str])
    first: str = ""
    """What it said before it ran the program: whether it is confined."""
    begun: bytearray = field(default_factory=bytearray)
    """The answer that is being written."""
    printed: bytearray = field(default_factory=bytearray)
    over: str = ""
    """Limit that it broke."""

    def take(self, more: bytes, longest: int) -> bool:
        """Read on; whether another answer is complete."""
        self.begun += more
        complete = False
        while len(self.begun) >= frames.HEAD and not self.over:
            end = frames.HEAD + int.from_bytes(self.begun[: frames.HEAD], "big")
            if self.first and end - frames.HEAD > longest:
                self.over = "length of the answer"
            if end > len(self.begun):
                break
            if not self.first:
                self.first = self.begun[frames.HEAD : end].decode("utf-8", "replace")
                del self.begun[:end]
                continue
            if len(self.answers) == self.asked:
                self.over = "number of answers"
                del self.answers[-1:]
                break
            self.answers.append(self.begun[frames.HEAD : end].decode("utf-8", "replace"))
            del self.begun[:end]
            complete = True
        return complete


def _listen(order: Order, heard: _Heard, answer: int, printed: int) -> None:
    """Hear a child until it closes its pipe or breaks a limit; every answer has its own time."""
    deadline = time.monotonic() + order.timeout_s
    watch = select.poll()
    watch.register(answer, select.POLLIN)
    watch.register(printed, select.POLLIN)
    pending = {answer, printed}
    while answer in pending and not heard.over:
        left = deadline - time.monotonic()
        if left <= 0:
            heard.over = "time"
            return
        for place, _ in watch.poll(left * 1000):
            more = os.read(place, 1 << 16)
            if not more:
                watch.unregister(place)
                pending.discard(place)
            elif place == answer:
                if heard.take(more, order.answer_bytes):
                    deadline = time.monotonic() + order.timeout_s
            else:
                heard.printed += more
                if len(heard.printed) > order.output_bytes:
                    heard.over = "output"


def _attend(order: Order, size: int, clocks: Sequence[tuple[int, int]]) -> _Call:
    """Read a request, have a child answer it, and end; returns in the child only, which then runs the program."""
    if order.confined:
        _control(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    request = json.loads(frames.receive(0))
    begun = time.monotonic()
    answer, answer_end = os.pipe()
    printed, printed_end = os.pipe()
    child = os.fork()
    if child == 0:
        ends = (answer_end, printed_end)
        return _Call(order=order, inputs=request["inputs"], ends=ends, size=size, clocks=clocks)
    os.close(answer_end)
    os.close(printed_end)
    heard = _Heard(asked=len(request["inputs"]))
    if order.confined:
        most = size + _ROOM + _COPIES * (heard.asked * order.answer_bytes + order.output_bytes)
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    try:
        _listen(order, heard, answer, printed)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    reply = {"nonce": request["nonce"], "seconds": time.monotonic() - begun, **_told_of(order, heard, status)}
    frames.send(1, json.dumps(reply).encode())
    os._exit(0)


def _told_of(order: Order, heard: _Heard, status: int) -> dict[str, Any]:
    """What the parent is told of a child."""
    ended = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"code {os.WEXITSTATUS(status)}"
    return {
        "first": heard.first,
        "answers": heard.answers,
        "output": heard.printed[: order.output_bytes].decode("utf-8", "replace"),
        "over": heard.over,
        "ended": ended,
    }


# ---- in the serving process ----


def _asked() -> bool:
    """Wait for a request, without reading it; false when the parent is gone."""
    watch = select.poll()
    watch.register(0, select.POLLIN)
    return any(event & select.POLLIN for _, event in watch.poll())


def serve() -> _Call | None:
    """Serve the program that the first message names until the pipe is closed.

    Returns:
        None in the serving process; in a child what it is for: it has left the frames of the serving process then.
    """
    order = Order(**json.loads(frames.receive(0)))
    try:
        _load(order)
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            size = int(file.read().split()[0]) * resource.getpagesize()
        clocks = still.pages() if order.confined else []
        layers = _give_up(order)
    except (SandboxError, ImportError, OSError, ValueError) as error:
        frames.send(1, json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode())
        return None
    frames.send(1, json.dumps({"layers": layers}).encode())
    gc.collect()
    gc.freeze()
    while _asked():
        attending = os.fork()
        if attending == 0:
            try:
                return _attend(order, size, clocks)
            except BaseException:  # noqa: BLE001 - what attends a call never serves others
                os._exit(1)
        if os.waitpid(attending, 0)[1] != 0:
            break  # no reply was sent: the parent learns it by the end of the pipe
    return None


def main() -> None:
    """Serve, or be a child."""
    call = serve()
    if call is not None:
        _child(call)


if __name__ == "__main__":
    main()
