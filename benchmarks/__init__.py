"""Speed and claims, measured."""
