"""Actors and actor-critics: small networks that act on observations with numbers."""
