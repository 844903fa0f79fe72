"""What is wrong with single generators of reasoning-gym 0.1.25; every entry was measured, see tests/environments."""

from __future__ import annotations

from collections.abc import Mapping

_HASH_SEED = "its text depends on Python's hash seed, so that an id does not name one question"
_RUNS_ANSWER = "its scorer runs the answer as Python code"
_GLOBAL_STATE = "it draws from the global random stream, so that an id does not name one question"

REFUSED: Mapping[str, str] = {
    "acre": "it builds its whole pool at once, which takes minutes",
    "binary_matrix": _RUNS_ANSWER,
    "bitwise_arithmetic": "its scorer runs text of the stored record as Python code",
    "codeio": _GLOBAL_STATE,
    "composite": "it mixes other generators: name those instead",
    "intermediate_integration": _RUNS_ANSWER,
    "isomorphic_strings": _HASH_SEED,
    "knight_swap": _HASH_SEED,
    "list_functions": _GLOBAL_STATE,
    "n_queens": _RUNS_ANSWER,
    "polynomial_multiplication": _RUNS_ANSWER,
    "ransom_note": _HASH_SEED,
    "simple_integration": _RUNS_ANSWER,
    "spiral_matrix": _RUNS_ANSWER,
    "string_insertion": _RUNS_ANSWER,
    "word_ladder": _HASH_SEED,
}
"""Generators that are never used, and why."""

EXPLOITABLE: Mapping[str, str] = {
    "coin_flip": 'the answer "0" has full marks on every question',
    "game_of_life_halting": "any text has full marks on almost every question",
    "puzzle24": "any four numbers from 1 to 10 that make 24 have full marks on every question",
}
"""Generators that pay for wrong answers: a ready demonstration of reward hacking, and nothing else."""
