"""Serving processes are kept per program, replaced when spent, and shared by threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from milepost.errors import SandboxError
from milepost.jail.worker import Worker
from milepost.jail.workers import KEPT, Workers
from milepost.programs.program import Limits, Program


def program(number):
    return Program(source=f"def compute_reward(x): return {number} * x")


@pytest.fixture
def workers():
    made = Workers(start=lambda one: Worker.start(one, Limits(timeout_s=0.5), confined=True), together=2)
    yield made
    made.close()


def test_one_process_per_program(workers):
    assert [one.value for one in workers.run(program(2), [{"x": x} for x in range(5)])] == [0, 2, 4, 6, 8]
    first = workers.alive[program(2).digest]
    workers.run(program(2), [{"x": 1}])
    assert workers.alive[program(2).digest] is first
    for number in range(3, 3 + KEPT):
        workers.run(program(number), [{"x": 1}])
    assert len(workers.alive) == KEPT
    assert first.process.returncode is not None


def test_a_spent_process_is_replaced(workers):
    workers.run(program(2), [{"x": 1}])
    workers.alive[program(2).digest].calls = 10**9
    assert workers.run(program(2), [{"x": 3}])[0].value == 6
    assert workers.alive[program(2).digest].calls == 1


def test_a_process_that_dies_costs_one_row(workers):
    workers.run(program(2), [{"x": 1}])
    worker = workers.alive[program(2).digest]
    ask = worker.ask

    def dying(inputs):
        worker.close()
        return ask(inputs)

    worker.ask = dying
    answers = workers.run(program(2), [{"x": 1}, {"x": 2}])
    assert answers[0].reason.startswith("sandbox_limit: the process that runs programs is gone")
    assert answers[1].value == 4


def test_what_cannot_be_confined_stops_the_call():
    def refuse(_program):
        raise SandboxError("could not be confined")

    with pytest.raises(SandboxError):
        Workers(start=refuse).run(program(1), [{"x": 1}])


def test_threads_share_it(workers):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda x: workers.run(program(3), [{"x": x}])[0].value, range(12)))
    assert found == [3 * x for x in range(12)]
