"""Rewards that a model writes as programs: prompt, reply, checks, rounds of feedback, and triage on probes."""
