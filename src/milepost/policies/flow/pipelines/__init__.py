"""Pipelines of diffusers as policies: Stable Diffusion 3 and Flux, as far as they step by flow matching."""
