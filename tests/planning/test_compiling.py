"""The loop comes as it is written or as machine code; which one it is can be seen."""

from milepost import optional
from milepost.planning import collision, compiling, kernel


def test_as_written():
    loop = compiling.loop(fast=False)
    assert not loop.compiled
    assert loop.grow is kernel.grow


def test_every_function_is_compiled():
    """A function that is left out would be called as Python, or refused."""
    functions = [
        name
        for module in (collision, kernel)
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__
    ]
    classes = {"World", "Rule", "Tree"}
    assert set(functions) - classes == set(compiling._FUNCTIONS)


def test_numba_is_seen():
    assert optional.has_compiler()
    assert compiling.loop(fast=True).compiled
