"""Flow and diffusion models as policies: one Gaussian transition per denoising step."""
