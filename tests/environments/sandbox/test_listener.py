"""An agent that looks up what was meant, and serves only what it heard."""

from milepost.columns import End
from milepost.curation.constraints.shopping import Shopping
from milepost.environments.sandbox.environment import Desk
from milepost.environments.sandbox.listener import Listener
from milepost.environments.sandbox.tau2 import Tau2
from milepost.environments.sandbox.users import Hasty, Scripted

RETAIL = Tau2(domain="retail")
TASK = next(Shopping(database=RETAIL, errands=2).tasks(1, 3))


def serve(**settings):
    return Listener().serve(Desk(sandbox=RETAIL, turns=60, **settings), TASK, key=0)


def test_it_finds_out_and_writes_what_the_plan_writes():
    served = serve()
    written = [{"name": name, "arguments": arguments} for name, arguments in served.calls if RETAIL.writes(name)]
    assert written == TASK.record["plan"]
    assert (served.end, served.untold) == (End.TERMINATED, 0)
    assert {message["role"] for message in served.messages} == {"user", "assistant", "tool"}


def test_what_was_not_uttered_is_not_served():
    served = serve(user=Hasty(user=Scripted(), rate=1.0))
    assert (served.calls, served.untold, served.end) == ((), 2, End.TERMINATED)
