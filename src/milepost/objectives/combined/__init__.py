"""Objectives made of others: a penalty added to one, or one for two credits."""
