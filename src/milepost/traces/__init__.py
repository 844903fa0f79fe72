"""Stored conversations of agents: the record that bridges fill and curation reads."""
