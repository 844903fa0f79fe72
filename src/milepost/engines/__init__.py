"""Engines: what runs a recipe. `local` is one process with torch; others put the same parts into trainers that exist."""
