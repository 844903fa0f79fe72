"""Simulators with numbers: Gymnasium's, in states that can be branched."""
