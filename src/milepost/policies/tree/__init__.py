"""Training on trees: every token that trajectories share is computed once, with the exact gradient of all of them."""
