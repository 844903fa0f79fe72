"""Signals on stored conversations, without a model: what to look at first. Source: Signals (2026), section by layer."""
