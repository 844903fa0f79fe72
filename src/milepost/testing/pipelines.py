"""Tiny pipelines of the real classes of diffusers, untrained: what runs with them runs with the published weights.

They have every part that the real ones have: transformer, autoencoder, scheduler, text encoders and tokenizers, the
latter spelling letter by letter. An image takes milliseconds, and looks like noise.
"""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

import torch

from milepost import keys, optional

LENGTH = 32
"""Letters of a prompt."""
_WIDTH = 16
_TEXT = {
    "hidden_size": _WIDTH,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": LENGTH,
    "projection_dim": _WIDTH,
    "bos_token_id": 0,
    "eos_token_id": 1,
}


def stable_diffusion_3(key: int = 0) -> Any:
    """A pipeline of Stable Diffusion 3 with 4 x 8 x 8 latents and pictures of 16 x 16 pixels.

    Args:
        key: where its weights are drawn from.

    Returns:
        A `StableDiffusion3Pipeline` on the CPU, in float32.

    Raises:
        MissingExtra: diffusers or transformers is not installed.
    """
    diffusers, transformers = _packages()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(keys.seed_of(keys.fold(key, "stable diffusion 3")))  # noqa: TID251 - put back by the fork
        network = diffusers.SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            caption_projection_dim=16,
            joint_attention_dim=32,
            pooled_projection_dim=2 * _WIDTH,
            pos_embed_max_size=8,
        )
        return diffusers.StableDiffusion3Pipeline(
            transformer=network,
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=_autoencoder(diffusers),
            text_encoder=_clip(transformers, transformers.CLIPTextModelWithProjection),
            tokenizer=_letters(transformers),
            text_encoder_2=_clip(transformers, transformers.CLIPTextModelWithProjection),
            tokenizer_2=_letters(transformers),
            text_encoder_3=_t5(transformers),
            tokenizer_3=_pieces(transformers),
        )


def flux(key: int = 0) -> Any:
    """A pipeline of Flux, with the guidance that its transformer is told, 4 x 8 x 8 latents and 16 x 16 pixels.

    Args:
        key: where its weights are drawn from.

    Returns:
        A `FluxPipeline` on the CPU, in float32; `default_sample_size` is that of its latents.

    Raises:
        MissingExtra: diffusers or transformers is not installed.
    """
    diffusers, transformers = _packages()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(keys.seed_of(keys.fold(key, "flux")))  # noqa: TID251 - put back by the fork
        network = diffusers.FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=_WIDTH,
            axes_dims_rope=(4, 4, 8),
            guidance_embeds=True,
        )
        pipe = diffusers.FluxPipeline(
            transformer=network,
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
            vae=_autoencoder(diffusers),
            text_encoder=_clip(transformers, transformers.CLIPTextModel),
            tokenizer=_letters(transformers),
            text_encoder_2=_t5(transformers),
            tokenizer_2=_pieces(transformers),
        )
    pipe.default_sample_size = 8
    return pipe


def clip(key: int = 0) -> Any:
    """A CLIP model of pictures of 16 x 16 pixels and of letters.

    Args:
        key: where its weights are drawn from.

    Returns:
        A `CLIPModel` of transformers; its tokenizer is `letters()`.

    Raises:
        MissingExtra: transformers is not installed.
    """
    transformers = optional.load("transformers", extra="lm", purpose="A CLIP model")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(keys.seed_of(keys.fold(key, "clip")))  # noqa: TID251 - put back by the fork
        seen = {"hidden_size": _WIDTH, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        settings = transformers.CLIPConfig(
            text_config={**_TEXT, "vocab_size": 2 + 2 * len(ascii_lowercase)},
            vision_config={**seen, "image_size": 16, "patch_size": 4},
            projection_dim=_WIDTH,
        )
        return transformers.CLIPModel(settings).eval()


def letters() -> Any:
    """A CLIP tokenizer whose tokens are the letters a to z.

    Returns:
        A `CLIPTokenizer` of transformers.

    Raises:
        MissingExtra: transformers is not installed.
    """
    return _letters(optional.load("transformers", extra="lm", purpose="A tokenizer"))


def _packages() -> tuple[Any, Any]:
    diffusers = optional.load("diffusers", extra="diffusers", purpose="A pipeline")
    return diffusers, optional.load("transformers", extra="lm", purpose="A pipeline's text encoders")


def _letters(transformers: Any) -> Any:
    words = ["<|startoftext|>", "<|endoftext|>", *ascii_lowercase, *(f"{letter}</w>" for letter in ascii_lowercase)]
    numbered = {word: number for number, word in enumerate(words)}
    return transformers.CLIPTokenizer(vocab=numbered, merges=[], model_max_length=LENGTH)


def _pieces(transformers: Any) -> Any:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("\u2581", -2.0)]
    pieces += [(letter, -3.0) for letter in ascii_lowercase]
    return transformers.T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=LENGTH)


def _clip(transformers: Any, kind: Any) -> Any:
    return kind(transformers.CLIPTextConfig(**_TEXT, vocab_size=2 + 2 * len(ascii_lowercase))).eval()


def _t5(transformers: Any) -> Any:
    settings = transformers.T5Config(
        vocab_size=4 + len(ascii_lowercase), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2
    )
    return transformers.T5EncoderModel(settings).eval()


def _autoencoder(diffusers: Any) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=2,
        scaling_factor=1.5,
        shift_factor=0.06,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).eval()
