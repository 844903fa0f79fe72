"""Tasks of Meta-World's arm: episodes by small rules and by its scripted experts, cards, and probes of rewards."""
