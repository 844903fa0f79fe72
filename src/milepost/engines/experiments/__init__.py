"""Experiments: the arms of a comparison, measured on every task with the same keys, and kept on disk."""
