"""Recipes that measure, as tables for the evidence."""
