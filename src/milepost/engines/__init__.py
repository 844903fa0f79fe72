"""Engines run recipes: `local` is one process with torch; others put the same parts into existing trainers."""
