"""Programs that nobody vouches for: what is run, within which limits, and what is believed of the answer."""
