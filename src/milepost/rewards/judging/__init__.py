"""Judges: opinions on steps, from rules, a local model or a server."""
