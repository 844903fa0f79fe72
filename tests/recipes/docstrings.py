"""A real text corpus that every Python ships: what the functions of the standard library say of themselves."""

import bisect
import calendar
import colorsys
import fnmatch
import glob
import heapq
import inspect
import itertools
import json
import locale
import math
import os.path
import random
import re
import shlex
import shutil
import statistics
import string
import tempfile
import textwrap
import time
import types
from dataclasses import dataclass
from functools import cache

from milepost.environments.search.index import Document, Index

MODULES = (
    bisect, calendar, colorsys, fnmatch, glob, heapq, inspect, itertools, json, locale, math, os.path, random, re,
    shlex, shutil, statistics, string, tempfile, textwrap, time,
)  # fmt: skip


@dataclass(frozen=True)
class Function:
    """A function: where it is defined, and what its documentation says first."""

    name: str
    module: str
    document: Document


@cache
def functions():
    """Functions whose name no other module has and whose documentation is long enough to be found."""
    found = {}
    for module in MODULES:
        for name, value in sorted(vars(module).items()):
            owned = isinstance(value, types.FunctionType | types.BuiltinFunctionType | type)
            text = inspect.getdoc(value) if owned and not name.startswith("_") else None
            if text and len(text) > 60 and len(name) > 3:
                found.setdefault(name, []).append((module.__name__, " ".join(text.split())[:300]))
    kept = {name: places[0] for name, places in found.items() if len(places) == 1}
    return tuple(
        Function(name=name, module=module, document=Document(id=name, title=f"{module} {name}", body=text))
        for name, (module, text) in sorted(kept.items())
    )


@cache
def index():
    return Index(documents=tuple(one.document for one in functions()))
