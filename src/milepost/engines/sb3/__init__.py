"""Inside Stable-Baselines3: its learners on our environments and rewards."""
