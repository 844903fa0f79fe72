"""Credit on forests that branch: steps compared with steps, values backed up, pivots, mixtures of samplers."""
