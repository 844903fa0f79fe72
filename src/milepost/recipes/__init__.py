"""The published systems: one file each, composition only."""
