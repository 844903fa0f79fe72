"""No clock is left: neither those of Python, nor those that C code asks, nor the kernel's own pages."""

import subprocess
import sys

import pytest

from milepost.jail import still
from milepost.jail.process import Process
from milepost.programs.program import Limits, Program


def run(text):
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert done.stdout == "done\n", done.stdout + done.stderr


def test_the_module_time_stands_still():
    run(
        """
import time
from milepost.jail import still
still.freeze()
still.freeze()
assert time.time() == time.monotonic_ns() == time.clock_gettime(0) == time.clock_gettime_ns(1) == 0
assert time.sleep(9) is None
assert time.gmtime()[:6] == time.gmtime(None)[:6] == (1970, 1, 1, 0, 0, 0)
assert "1970" in time.strftime("%Y", time.gmtime(0)) + time.strftime("%Y") and "1970" in time.asctime()
assert time.localtime(86400 * 400).tm_year == 1971 and "1971" in time.ctime(86400 * 400)
print("done")
"""
    )


def test_covered_pages_stop_what_asks_them():
    """Without any filter: seconds of the kernel's page are 0 afterwards, and were not before."""
    run(
        """
import ctypes
from milepost.jail import still
seconds = ctypes.CDLL(None).time
assert seconds(None) > 1e9 and still.cover(still.pages()) and seconds(None) == 0
print("done")
"""
    )


def test_pages_are_found():
    found = still.pages()
    assert found
    assert all(length % 4096 == 0 and first % 4096 == 0 for first, length in found)


def test_what_cannot_be_covered_is_said():
    assert not still.cover([(1, 4096)])


ASKED = {
    "datetime.now": "str(sys.modules['datetime'].datetime.now())",
    "datetime.utcnow": "str(sys.modules['datetime'].datetime.utcnow())",
    "date.today": "str(sys.modules['datetime'].date.today())",
    "NumPy": "str(numpy.datetime64('now'))",
    "NumPy's text": "str(numpy.array(['now'], dtype='M8[s]')[0])",
}


@pytest.fixture(scope="module")
def jail():
    made = Process(limits=Limits(timeout_s=5.0))
    yield made
    made.workers.close()


def test_what_is_written_in_c_has_no_present(jail):
    body = ", ".join(f"{name!r}: {text}" for name, text in ASKED.items())
    (answer,) = jail.run(Program(source=f"import sys, numpy\ndef compute_reward(): return {{{body}}}"), [{}])
    assert answer.reason is None
    assert {text[:10] for text in answer.value.values()} == {"1970-01-01"}


def test_another_copy_of_the_module_has_no_present_either(jail):
    source = "import sys\ndef compute_reward():\n    del sys.modules['time']\n    import time\n    return time.time()"
    (answer,) = jail.run(Program(source=source), [{}])
    assert answer.reason == "reward_error: PermissionError: [Errno 1] Operation not permitted"
