"""Sets of conversations after a triage: lists by signal, single conversations, and why each was chosen."""
