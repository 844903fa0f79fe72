"""Samplers that branch: they choose among candidates, go back to where it went wrong, or keep the best of many."""
