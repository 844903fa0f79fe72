"""Triage of files of conversations: signals, near duplicates and a selection, in memory that does not grow."""
