"""Is a reward fit to train on? What it is asked, what its answers show, and what counts as a problem."""
