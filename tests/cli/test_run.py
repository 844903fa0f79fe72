"""`milepost run`: the command against an engine that trains nothing, and at the end against the real one."""

import json
import string
import sys
import tomllib
import types
from pathlib import Path

import pytest
import tokenizers
import torch
import transformers

from milepost.cli import main, run
from milepost.engines import repeats
from milepost.errors import MilepostError

MINE = '''def reward(prompts, completions, **columns):
    """Digits are good, "7" cannot be judged, and "9" is a nuisance."""
    found = []
    for text in completions:
        if "9" in text:
            raise ValueError("a nine turned up")
        found.append(None if "7" in text else sum(map(str.isdigit, text)) / max(len(text), 1))
    return found
'''
SMALL = (
    "--tasks-per-step", "3", "--held-out", "4", "--train", "8", "--max-tokens", "6", "--steps", "2",
    "--settings.width", "4", "--max-invalid", "1",
)  # fmt: skip


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_it_ends_with_success_before_and_after_the_difference_and_the_report(call, engine):
    done = call("run", "barge", "--steps", "4", "--out", "r")
    assert done.code == 0
    tail = done.out[done.out.index("held-out success before") :]
    assert "12.5% (95 % interval 2.5% to 22.5%; 40 tasks x 4 answers)" in tail
    assert "held-out success after" in tail
    assert "difference               +5" in tail
    assert "points (95 % interval +" in tail
    assert tail.strip().splitlines()[-1].split() == ["report", "r/report.html"]
    assert Path("r/report.html").read_text().startswith("<!doctype html")


def test_something_is_said_before_the_model_is_loaded(call, engine):
    done = call("run", "barge", "--steps", "2", "--out", "r", "--no-report")
    assert done.out.splitlines()[0] == "barge on chain_sum: loading the model 'embedded' and the tasks ..."


def test_a_run_of_no_steps_has_no_empty_lines(call, engine):
    tail = call("run", "barge", "--steps", "0", "--out", "r", "--no-report").out
    assert "spent" not in tail
    assert "finished after 0 steps" in tail


def test_a_run_whose_rewards_all_failed_says_so(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "reward/total_failed": 1.0}\n')
    for name in ("manifest.json", "run.toml"):
        (tmp_path / name).write_text("{}" if name.endswith("json") else "")
    assert run.all_failed(tmp_path)
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 1, "reward/total_failed": 1.0}\n{"step": 2, "reward/total_failed": 0.9}\n'
    )
    assert not run.all_failed(tmp_path)


def test_how_trees_were_trained_is_said(tmp_path):
    rows = [
        {"step": 1, "update/packed_trees": 8.0, "update/unique_tokens": 60.0, "update/repeated_tokens": 100.0},
        {"step": 2, "update/depth_first_trees": 1.0, "update/unique_tokens": 30.0, "update/repeated_tokens": 100.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("manifest.json", "run.toml"):
        (tmp_path / name).write_text("{}" if name.endswith("json") else "")
    assert run.trees(tmp_path) == "8 trees packed, 1 tree depth first; 45% of the tokens of separate paths"
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    assert run.trees(tmp_path) == ""


def test_json_lines(call, engine):
    found = lines(call("run", "barge", "--steps", "2", "--out", "r", "--json", "--no-report").out)
    assert [one["event"] for one in found] == ["start", "evaluate", "update", "update", "done", "outcome"]
    assert found[2]["numbers"]["reward/total_failed"] == 0.25
    assert (found[2]["step"], found[2]["steps"], found[2]["message"]) == (1, 2, "")
    last = found[-1]
    assert (last["folder"], last["recipe"], last["stopped"], last["steps_done"]) == ("r", "barge", "finished", 2)
    assert last["gain_low"] < last["gain"] < last["gain_high"]
    assert last["gain"] == pytest.approx(last["last"]["success"] - last["first"]["success"])
    assert last["cost"] == {"tokens": 200.0}


def test_the_first_free_folder_is_taken(call, engine):
    call("run", "barge", "--steps", "1", "--no-report")
    call("run", "barge", "--steps", "1", "--no-report")
    assert sorted(path.name for path in Path("runs").iterdir()) == ["barge-1", "barge-2"]


def test_a_folder_that_is_taken_names_the_next_command(call, engine):
    call("run", "barge", "--steps", "1", "--out", "r", "--no-report")
    done = call("run", "barge", "--steps", "1", "--out", "r", "--no-report")
    assert done.code == 3
    assert "milepost resume r" in done.err


def test_a_file_names_the_recipe(call, engine):
    Path("a.toml").write_text('recipe = "barge"\n[update]\nsteps = 1\n')
    assert call("run", "@", "a.toml", "--no-report", "--out", "r").code == 0
    assert engine.started[0].update.steps == 1
    assert call("run", "barge", "@", "a.toml", "--steps", "2", "--no-report").code == 0
    assert engine.started[1].update.steps == 2


def test_dry_run_prints_what_at_takes(call, engine):
    done = call("run", "barge", "--width", "3", "--dry-run")
    assert done.code == 0
    assert tomllib.loads(done.out)["settings"] == {"width": 3, "clip": 0.2, "kind": "a"}
    Path("b.toml").write_text(done.out)
    assert call("run", "@", "b.toml", "--dry-run").out == done.out
    assert json.loads(call("run", "@", "b.toml", "--dry-run", "--json").out)["recipe"] == "barge"
    assert engine.started == []


def test_the_saved_configuration_repeats_the_run(call, engine):
    call("run", "barge", "--width", "3", "--steps", "1", "--seed", "5", "--out", "r", "--no-report")
    call("run", "@", "r/run.toml", "--out", "s", "--no-report")
    assert engine.started[0] == engine.started[1]


def test_wrong_usage(call, engine):
    assert call("run").code == 2
    assert "recipes: barge, long-ferry" in call("run", "--help").out
    assert call("run", "--help").code == 0
    Path("a.toml").write_text("seed = 1\n")
    assert "names no recipe" in call("run", "@", "a.toml").err
    assert "milepost compare" in call("run", "barge", "long-ferry").err
    done = call("run", "bargo")
    assert done.code == 2
    assert "Did you mean 'barge'?" in done.err
    done = call("run", "barge", "--steps", "-1")
    assert done.code == 2
    assert "Next: milepost run barge --help" in done.err
    assert engine.started == []


def test_repeats_have_their_own_seeds_and_an_interval(call, engine):
    done = call("run", "barge", "--steps", "2", "--seed", "7", "--repeats", "3", "--out", "r", "--no-report")
    assert done.code == 0
    assert [one.seed for one in engine.started] == [repeats.seed_of(7, number) for number in range(3)]
    assert len({one.seed for one in engine.started}) == 3
    assert "mean of 3 repeats" in done.out
    assert "(95 % interval" in done.out
    assert tomllib.loads(Path("r/run.toml").read_text())["seed"] == 7


def test_more_repeats_never_change_earlier_ones(call, engine):
    call("run", "barge", "--steps", "2", "--repeats", "2", "--out", "r", "--no-report")
    before = Path("r/repeat-1/checkpoint.safetensors").read_bytes()
    done = call("run", "barge", "--steps", "2", "--repeats", "4", "--out", "r", "--no-report", "--json")
    assert done.code == 0
    assert len(engine.started) == 4
    assert Path("r/repeat-1/checkpoint.safetensors").read_bytes() == before
    assert [one["event"] for one in lines(done.out)][-5:] == ["outcome"] * 4 + ["summary"]
    assert lines(done.out)[-1]["repeats"] == 4


def test_one_repeat_has_no_interval(call, engine):
    done = call("run", "barge", "--steps", "1", "--repeats", "1", "--out", "r", "--no-report")
    assert "one run has no interval" in done.out


def test_ctrl_c_says_how_to_go_on(call, engine):
    engine.interrupt_at = 2
    done = call("run", "barge", "--steps", "4", "--out", "r")
    assert done.code == 3
    assert done.err.strip() == "Stopped. Continue with: milepost resume r"
    assert call("resume", "r", "--no-report").code == 0
    assert repeats.standing(Path("r")).step == 4


def test_ctrl_c_as_json(call, engine):
    engine.interrupt_at = 0
    done = call("run", "barge", "--steps", "4", "--out", "r", "--json")
    assert lines(done.out)[-1] == {"event": "interrupted", "folder": "r", "resume": "milepost resume r"}


def test_ctrl_c_before_the_beginning(call, engine, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("milepost.engines.local.run", stop)
    done = call("run", "barge", "--out", "r")
    assert (done.code, done.err.strip()) == (3, "Stopped before the run began: nothing was written.")


def test_too_many_failures_have_code_3_and_their_reason(call, engine):
    engine.error = MilepostError("40% of the rewards failed in 5 steps in a row. Mend it, then `milepost resume r`.")
    done = call("run", "barge", "--out", "r")
    assert done.code == 3
    assert "Traceback" not in done.err


def test_trackers_reach_the_engine(call, engine):
    call("run", "barge", "--steps", "1", "--track", "tensorboard,trackio", "--no-report")
    assert engine.track == ("tensorboard", "trackio")


def test_a_budget_ends_the_run(call, engine):
    done = call("run", "barge", "--cost", "tokens=250", "--out", "r", "--no-report")
    assert "budget after 3 steps" in done.out


def test_without_the_extra_the_run_says_what_to_install(call, engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    done = call("run", "barge", "--steps", "1", "--out", "r")
    assert done.code == 0
    assert "pip install 'milepost[report]'" in done.out


def test_the_demo_is_a_file_that_run_reads(capsys):
    demo = Path(__file__).parents[2] / "examples" / "demo.toml"
    assert main(["run", "@", str(demo), "--dry-run"]) == 0
    found = tomllib.loads(capsys.readouterr().out)
    given = tomllib.loads(demo.read_text())
    assert all(
        found[section][name] == value for section in ("tasks", "update") for name, value in given[section].items()
    )


def test_points():
    assert run.points(0.125) == "+12.5"
    assert run.points(float("nan")) == "?"


def test_one_task_has_no_interval():
    """With one held-out task there is a share and no interval, with none there is neither."""
    nan = float("nan")
    one = {"success": 0.25, "low": nan, "high": nan, "tasks": 1, "samples": 4}
    assert run.success(one) == "25.0% (no interval: it needs two held-out tasks at least; 1 task x 4 answers)"
    two = {**one, "low": 0.0, "high": 0.5, "tasks": 2}
    assert run.success(two) == "25.0% (95 % interval 0.0% to 50.0%; 2 tasks x 4 answers)"
    assert run.success({**one, "success": nan, "tasks": 0}).startswith("not measured")


# ---- the real engine ----


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder that transformers can load: 10k weights, characters as tokens."""
    folder = tmp_path_factory.mktemp("model")
    words = ["<pad>", "<eos>", *string.printable]
    raw = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>")
    )
    raw.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    raw.decoder = tokenizers.decoders.Fuse()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>", unk_token="<pad>"
    ).save_pretrained(folder)
    with torch.random.fork_rng():
        made = transformers.LlamaForCausalLM(
            transformers.LlamaConfig(
                vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                num_key_value_heads=2, max_position_embeddings=512, eos_token_id=1, pad_token_id=0,
            )
        )  # fmt: skip
    draws = torch.Generator().manual_seed(1)
    for weight in made.parameters():
        weight.data.normal_(0.0, 0.3, generator=draws)
    made.save_pretrained(folder)
    return folder


@pytest.fixture
def real(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(MINE)

    def run(*argv):
        code = main([str(word) for word in argv])
        captured = capsys.readouterr()
        return types.SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return run


def test_own_reward_with_its_failures_shown_as_data(real, model):
    words = ("run", "grpo", "--reward", "mine.py:reward", "--model", model, *SMALL)
    done = real(*words, "--out", "r", "--json")
    assert done.code == 0, done.err
    found = [json.loads(line) for line in done.out.splitlines()]
    reasons = {row["example"]: row for row in found[-1]["failed"]}
    assert {(row["reward"], row["code"]) for row in reasons.values()} == {("reward", "reward_error")}
    assert {"ValueError: a nine turned up", "the function returned None"} <= set(reasons), reasons
    assert any(one["numbers"].get("reward/reward_failed", 0) > 0 for one in found if one["event"] == "update")
    assert "reward_error" in Path("r/report.html").read_text()
    assert real("check", "r").code == 0
    assert "a nine turned up" in real("show", "r").out
    assert json.loads(real("score", "r", "--reward", "mine.py:reward", "--out", "again", "--json").out)["forests"]
    kept = real("run", *words[1:], "--out", "s", "--no-report")
    assert "failed rewards" in kept.out
    for name in ("metrics.jsonl", "evaluation.jsonl", "run.toml"):
        assert Path("r", name).read_bytes() == Path("s", name).read_bytes()


def test_compare_with_the_real_engine(real, model):
    done = real(
        "compare", "grpo", "grpo", "--repeats", "2", "--model", model, *SMALL, "--out", "c", "--json"
    )  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(done.out.splitlines()[-1])
    assert found["differences"][0]["difference"]["estimate"] == 0
    assert found["verdict"] == "undecided"
    assert {"success", "pass@2", "pass@4", "distinct", "entropy"} <= {one["metric"] for one in found["differences"]}
    assert Path("c/comparison.html").is_file()


def test_a_reward_file_that_does_not_exist(real, model):
    sys.modules.pop("mine", None)
    done = real("run", "grpo", "--reward", "nine.py:reward", "--model", model, *SMALL, "--out", "r")
    assert done.code == 2
    assert "nine.py" in done.err
