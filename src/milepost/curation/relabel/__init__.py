"""Actions for trajectories that were stored without them: inverse dynamics, labels and their uncertainty."""
