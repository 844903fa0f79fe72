"""Credit rules: rewards to `advantage` per step, and the checker that says whether credit is where it belongs."""
