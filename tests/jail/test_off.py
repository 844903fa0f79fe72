"""Level `off` isolates nothing, and says so; time, output and answers are limited all the same."""

from milepost.jail import levels
from milepost.jail.off import Off
from milepost.programs.program import Limits, Program


def test_it_runs_with_all_rights(tmp_path):
    (tmp_path / "a").write_text("text")
    jail = levels.opened("off", limits=Limits(timeout_s=0.3))
    read = Program(source="def compute_reward(path): return len(open(path).read())")
    assert jail.run(read, [{"path": str(tmp_path / "a")}])[0].value == 4
    endless = Program(source="def compute_reward():\n    while True: pass")
    assert jail.run(endless, [{}])[0].reason.startswith("reward_timeout")
    jail.workers.close()


def test_it_names_no_layer():
    assert Off().layers == ()
    assert Off().level == "off"
