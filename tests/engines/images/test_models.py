"""The models of the digits in a run: what does not fit is said at once, with the flag."""

from dataclasses import replace

import pytest

from milepost.engines.images import models
from milepost.engines.settings import PolicySettings, RunSettings, UpdateSettings
from milepost.errors import SettingError
from milepost.policies.flow.kernel import FlowKernel
from milepost.policies.flow.noise import EvenNoise, Grid, StepNoise, Window
from milepost.policies.flow.process import Process
from milepost.recipes import flow_grpo

SETTINGS = RunSettings(recipe="flow-grpo")


def test_a_folder_is_told_what_tasks_it_needs(tmp_path):
    settings = replace(SETTINGS, policy=PolicySettings(model=str(tmp_path)))
    with pytest.raises(SettingError, match=r"is a folder.*--tasks prompts"):
        models.policy(settings, flow_grpo.build())


def test_noise_is_looked_at_as_far_as_the_run_goes():
    process = Process(grid=Grid(steps=3), noise=Window(inner=StepNoise(levels=(0.1, 9.0, 0.0)), size=1, every=5))
    models.check_noise(replace(SETTINGS, update=UpdateSettings(steps=4)), process, FlowKernel())
    with pytest.raises(SettingError, match=r"'flow-grpo'.*adds more noise.*--noise"):
        models.check_noise(replace(SETTINGS, update=UpdateSettings(steps=5)), process, FlowKernel())


def test_a_run_without_end_is_looked_at_for_one_round_of_the_window():
    process = Process(grid=Grid(steps=3), noise=Window(inner=StepNoise(levels=(0.1, 9.0, 0.0)), size=1, every=5))
    with pytest.raises(SettingError, match="adds more noise"):
        models.check_noise(replace(SETTINGS, update=UpdateSettings(steps=10**9)), process, FlowKernel())
    models.check_noise(replace(SETTINGS, update=UpdateSettings(steps=10**9)), Process(), FlowKernel())


@pytest.mark.parametrize("process", [Process(noise=EvenNoise(level=0.0)), Process(grid=Grid(steps=1))])
def test_training_without_noise_is_refused(process):
    with pytest.raises(SettingError, match="no denoising step with noise"):
        models.check_noise(SETTINGS, process, FlowKernel())
    models.check_noise(replace(SETTINGS, update=UpdateSettings(steps=0)), process, FlowKernel())


def test_a_job_without_a_process_has_the_usual_one():
    assert models.process_of(replace(flow_grpo.build(), process=None)) == Process()
