"""The models of the digits as policies of a run: what does not fit them is refused before one is loaded."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import cast

from milepost import recipe
from milepost.engines.settings import RunSettings
from milepost.environments.denoising import Denoising
from milepost.errors import SettingError
from milepost.policies.flow import digits
from milepost.policies.flow.denoiser import Denoiser
from milepost.policies.flow.guidance import Guide
from milepost.policies.flow.kernel import FlowKernel, Kernel
from milepost.policies.flow.process import Process
from milepost.recipe import Train


def policy(settings: RunSettings, work: Train) -> Denoiser:
    """The model of the digits that a run names.

    Args:
        settings: of the run.
        work: its job.

    Returns:
        The policy, with the job's sampling process and guide.

    Raises:
        UnknownName: no such model.
        SettingError: the recipe cannot sample or train it.
        MissingExtra: scikit-learn, which brings the images, is not installed.
    """
    name = Denoising.embedded if settings.policy.model == "embedded" else settings.policy.model
    if name not in digits.KERNELS and Path(name).is_dir():
        raise SettingError(
            f"policy.model={name!r} (--model) is a folder. A pipeline draws what prompts ask for, not digits: give "
            "--tasks prompts --tasks.options.prompts.file <file with one prompt on each line>."
        )
    kernel, process = digits.kernel_of(name), process_of(work)
    own = [part for part in (work.guide, work.view) if part is not None]
    if own and not isinstance(kernel, FlowKernel):
        raise SettingError(
            f"Recipe {settings.recipe!r} cannot train policy.model={name!r} (--model): its {type(own[0]).__name__} was "
            "made for the noisy latents of a rectified flow. Leave --model out, or give --model digits-flow."
        )
    others = " or ".join(f"--model {other}" for other in digits.KERNELS if other != name)
    check_noise(settings, process, kernel, or_else=f", or give {others}")
    return dataclasses.replace(digits.load(name, process=process), guide=cast("Guide | None", work.guide))


def process_of(work: Train) -> Process:
    """The sampling process of a job; the usual one where it names none.

    Args:
        work: the job.

    Returns:
        The process.

    Raises:
        SettingError: it is of another kind.
    """
    found = Process() if work.process is None else work.process
    if not isinstance(found, Process):
        raise SettingError(f"The recipe's process is {type(found).__name__}, expected policies.flow.process.Process.")
    return found


def check_noise(settings: RunSettings, process: Process, kernel: Kernel, *, or_else: str = "") -> None:
    """Refuse a process that the run's model cannot be sampled by, in any of the updates to come.

    Args:
        settings: of the run.
        process: how the model is sampled.
        kernel: of the model.
        or_else: what else the user can do.

    Raises:
        SettingError: a step has more noise than the kernel has room for, or none has any and updates are wanted.
    """
    if settings.update.steps and not bool(process.levels(0).any()):
        raise SettingError(
            f"Recipe {settings.recipe!r} with these settings has no denoising step with noise, so no step has a "
            "log-probability and nothing can be trained: give more noise, or more denoising steps; the last has none."
        )
    try:
        process.check(kernel, settings.update.steps)
    except SettingError as error:
        known = ", ".join(f"--{one.replace('_', '-')}" for one in recipe.settings_of(settings.recipe))
        raise SettingError(
            f"Recipe {settings.recipe!r} with these settings cannot sample policy.model={settings.policy.model!r} "
            f"(--model): {error} Change the noise by the recipe's own settings ({known}){or_else}."
        ) from error
