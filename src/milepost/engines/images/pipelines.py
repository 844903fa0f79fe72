"""A pipeline of diffusers as the policy of a run: prompts from a file, scores by a CLIP model or a user's function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from milepost import checks, keys, optional
from milepost.engines.images.models import check_noise, process_of
from milepost.engines.images.own_reward import with_scorer
from milepost.engines.settings import RunSettings
from milepost.environments.by_name import PROMPTS
from milepost.environments.denoising import Prompts
from milepost.errors import FormatError, SettingError
from milepost.evaluation.images import MeanScore, Spread
from milepost.part import Reward
from milepost.policies.flow.denoiser import Denoiser
from milepost.policies.flow.pipelines import adapter, folder
from milepost.recipe import Train
from milepost.rewards.images import clip
from milepost.rewards.images.function import PictureFunction
from milepost.rewards.images.pictures import Decoded
from milepost.rewards.images.reward import ImageScore
from milepost.rewards.images.scorers import AtLeast, Scorer

CLIP = "clip:"
"""What a reward begins with that names the folder of a CLIP-like model."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What the options of the prompts say about how their pictures are drawn and judged."""

    size: int = 0
    """Pixels along a side; 0: the model's own."""
    guidance: float = 1.0
    """Weight of the prompt (classifier-free guidance); other than 1 it costs two calls of the model for each step."""
    passing: float | None = None
    """Score from which on a held-out picture counts as success. None: with a CLIP model, where the picture fits its own
    prompt better than all others; with a function 0.5."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.at_least("tasks.options.prompts.size", self.size, 0)
        checks.non_negative("tasks.options.prompts.guidance", self.guidance)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Drawing:
        """The options that are not the environment's."""
        return cls(**{name: value for name, value in options.items() if name in ("size", "guidance", "passing")})


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a run with a pipeline consists of, beside its environment."""

    policy: Denoiser
    job: Train
    verdict: Reward


def drawing(settings: RunSettings, world: Prompts, work: Train) -> Found:
    """Load the pipeline of a run, and put scores of its pictures in the place of those of digits.

    Args:
        settings: of the run: `policy.model` is the pipeline's folder, `reward` what scores its pictures.
        world: the prompts.
        work: the recipe's job.

    Returns:
        The policy, the job with its rewards and measures, and what success is.

    Raises:
        SettingError: the recipe draws no images, steers by a reward of digits, or the settings do not fit.
        FormatError: a folder holds something else than it should.
        MissingExtra: diffusers or transformers is not installed.
    """
    chosen = Drawing.of(settings.tasks.options.get(PROMPTS, {}))
    source = _check(settings, work)
    function = None if source.startswith(CLIP) else PictureFunction(source=source, prompts=world.every)
    if function is not None:
        function.load()
    process = replace(process_of(work), guidance=chosen.guidance)
    pipe = folder.load(
        Path(settings.policy.model),
        lora_rank=settings.policy.lora_rank,
        key=keys.fold(keys.root(settings.seed), "policy"),
    )
    side, rest = divmod(chosen.size, int(pipe.vae_scale_factor))
    if rest:
        raise SettingError(
            f"tasks.options.prompts.size={chosen.size} is not allowed: expected a multiple of {pipe.vae_scale_factor}, "
            "the pixels of the picture that one of the latent stands for."
        )
    policy = adapter.denoiser(pipe, world.every, process=process, size=(side, side) if side else None)
    check_noise(settings, policy.process, policy.kernel)
    decode = adapter.Decoder(vae=pipe.vae)
    scorer = function or matching(Path(source.removeprefix(CLIP)), world.every, pipe.device)
    judge: Scorer = (
        clip.Picked(match=scorer) if isinstance(scorer, clip.PromptMatch) else AtLeast(scorer=scorer, bar=0.5)
    )
    if chosen.passing is not None:
        judge = AtLeast(scorer=scorer, bar=chosen.passing)
    name = "clip" if function is None else function.name
    return Found(
        policy=policy,
        job=rescored(work, Decoded(decode=decode, scorer=scorer), name),
        verdict=ImageScore(scorer=Decoded(decode=decode, scorer=judge), name="solved"),
    )


def _check(settings: RunSettings, work: Train) -> str:
    """Refuse what does not fit before anything is loaded; the one reward that is named."""
    if work.process is None:
        raise SettingError(
            f"Recipe {settings.recipe!r} draws no images, and the tasks are prompts of images: choose a recipe of "
            "`milepost list --domain flow`."
        )
    if work.guide is not None:
        raise SettingError(
            f"Recipe {settings.recipe!r} steers by a reward of noisy digits, and a pipeline draws no digits: choose "
            "another recipe, or compose its parts in Python with a value of your own."
        )
    if settings.policy.model == "embedded":
        raise SettingError(
            "No pipeline draws prompts by default: give --model <folder>, as save_pretrained of a Stable Diffusion 3 "
            "or Flux pipeline writes it."
        )
    if len(settings.reward) != 1:
        raise SettingError(
            f"Prompts need one reward, received {len(settings.reward)}: --reward clip:<folder of a CLIP-like model> or "
            "--reward mine.py:score, a function of images and prompts that gives one number for each."
        )
    folder.kind(Path(settings.policy.model))
    place = Path(settings.reward[0].removeprefix(CLIP))
    if settings.reward[0].startswith(CLIP) and not (place / "config.json").is_file():
        raise FormatError(f"{place} has no config.json, expected the folder of a CLIP-like model and its tokenizer.")
    return settings.reward[0]


def matching(place: Path, prompts: tuple[str, ...], device: Any) -> clip.PromptMatch:
    """A CLIP-like model of a folder as a scorer of how well pictures fit their prompts.

    Args:
        place: as `save_pretrained` of the model and of its tokenizer write it, weights in safetensors.
        prompts: in the order of the environment's numbers.
        device: where it computes.

    Returns:
        The scorer: cosines.

    Raises:
        FormatError: the folder holds something else.
        MissingExtra: transformers is not installed.
    """
    transformers = optional.load("transformers", extra="lm", purpose="A CLIP model")
    try:
        model = transformers.CLIPModel.from_pretrained(str(place), local_files_only=True, use_safetensors=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(place), local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FormatError(f"{place} cannot be loaded as a CLIP model and its tokenizer: {first}") from error
    return clip.prompt_match(model.to(device), tokenizer, prompts)


def rescored(work: Train, scorer: Scorer, name: str) -> Train:
    """A job for images with another scorer where it scored the class of digits; what else it watched is left out.

    Args:
        work: the job of a recipe for the digits.
        scorer: of latents.
        name: of the score of finished images.

    Returns:
        The job, with measures that any latents have.
    """
    found = [with_scorer(reward, scorer, name) for reward in work.rewards]
    kept = [(reward, weight) for reward, weight in zip(found, work.weights, strict=True) if reward is not None]
    return replace(
        work,
        rewards=tuple(reward for reward, _ in kept),
        weights=tuple(weight for _, weight in kept),
        measures=(MeanScore(name=name), Spread()),
    )
