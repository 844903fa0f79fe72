"""What runs beside the policy: a reward that is trained, a reward that remembers, or nothing."""

from __future__ import annotations

from milepost import keys
from milepost.engines.beside.bonus import Memorised
from milepost.engines.beside.learned import Beside
from milepost.engines.build import World
from milepost.engines.settings import UpdateSettings
from milepost.environments.control.by_name import surveyed
from milepost.errors import SettingError
from milepost.recipe import Remembers

SURVEY = 512
"""Steps of random actions from which a bonus takes its first scale."""


def beside_of(world: World, settings: UpdateSettings) -> Beside | Memorised | None:
    """Make what the job asks for.

    Args:
        world: parts of the run.
        settings: those of the policy's update.

    Returns:
        None where the job has no such reward.

    Raises:
        SettingError: a reward that remembers observations, with tasks that show none.
    """
    part = world.job.learned
    if part is None:
        return None
    if isinstance(part, Remembers):
        environment = surveyed(world.environment)
        if environment is None:
            raise SettingError(
                f"The reward {part.name!r} remembers observations, and the tasks show text: name tasks of control, "
                "such as --tasks MiniGrid-DoorKey-6x6-v0."
            )
        return Memorised(part=part, memory=part.init(environment.survey(SURVEY, keys.root(1))))
    return None if world.learned is None else Beside.of(part, world.learned, settings)
