"""A recipe is one short file that composes parts; its card is a literal, and each of its claims names its test."""

from __future__ import annotations

import ast
from pathlib import Path

RECIPE_LINES = 80
CARD_FIELDS = {
    "title", "paper", "year", "domains", "job", "summary", "parts", "claims", "departs", "advice", "bibtex",
}  # fmt: skip
REQUIRED = CARD_FIELDS - {"job", "departs", "advice"}
DOMAINS = {"text", "agent", "flow", "control", "planning", "vision"}
NUMERIC = {"torch", "numpy", "math", "jaxtyping", "scipy", "statistics"}


def recipes_of(source):
    """The recipe modules among all modules."""
    return [m for m in source if m.folder == "recipes" and m.name != "milepost.recipes"]


def card_of(module) -> dict[str, object] | None:
    """Fields of the literal CARD, or None when it is none."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CARD" and isinstance(node.value, ast.Call):
            call = node.value
            if ast.unparse(call.func) != "Card" or call.args or any(k.arg is None for k in call.keywords):
                return None
            try:
                return {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
            except ValueError:
                return None
    return None


def not_composition(module) -> list[str]:
    """What a recipe may not hold: length, numeric libraries, arithmetic, loops, classes, functions besides build."""
    problems = []
    lines = module.text.count("\n")
    if lines > RECIPE_LINES:
        problems.append(module.at(module.tree, f"{lines} lines, at most {RECIPE_LINES}"))
    for node in ast.walk(module.tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        problems += [module.at(node, f"imports {n}: a recipe composes") for n in names if n.split(".")[0] in NUMERIC]
        if isinstance(node, ast.BinOp | ast.AugAssign) and not isinstance(getattr(node, "op", None), ast.BitOr):
            problems.append(module.at(node, f"arithmetic in a recipe: {ast.unparse(node)}"))
        if isinstance(node, ast.For | ast.While | ast.ClassDef | ast.Lambda | ast.comprehension):
            problems.append(module.at(node, f"{type(node).__name__} in a recipe: a recipe composes"))
    functions = [node for node in module.tree.body if isinstance(node, ast.FunctionDef)]
    if [f.name for f in functions] != ["build"]:
        problems.append(
            module.at(module.tree, f"functions {[f.name for f in functions]}: a recipe has exactly `build`")
        )
    for function in functions:
        if function.args.args or function.args.posonlyargs or None in function.args.kw_defaults:
            problems.append(
                module.at(function, "every setting of build is keyword-only and has a default: the paper's")
            )
    return problems


def wrong_card(module) -> list[str]:
    """What is wrong with the fields of a card."""
    card = card_of(module)
    if card is None:
        return [module.at(module.tree, "no literal CARD = Card(...)")]
    problems = [module.at(module.tree, f"CARD lacks {name}") for name in sorted(REQUIRED - set(card))]
    problems += [
        module.at(module.tree, f"CARD has the unknown field {name}") for name in sorted(set(card) - CARD_FIELDS)
    ]
    stray = set(card.get("domains", ())) - DOMAINS
    problems += [module.at(module.tree, f"CARD names the unknown domain {name}") for name in sorted(stray)]
    if not card.get("claims"):
        problems.append(module.at(module.tree, "CARD claims nothing: what is tested about this method?"))
    return problems


def test_functions(path: Path) -> set[str]:
    """Names of the tests of a file, methods as Class::name."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{f.name}" for f in node.body if isinstance(f, ast.FunctionDef)}
    return found


test_functions.__test__ = False  # its name describes what it returns


def unmeasured(module, root: Path) -> list[str]:
    """Claims whose test does not exist."""
    problems = []
    for claim, test in dict((card_of(module) or {}).get("claims", {})).items():
        path, _, name = str(test).partition("::")
        if not path.startswith("tests/") or not (root / path).is_file():
            problems.append(module.at(module.tree, f"claim {claim!r}: there is no file {path}"))
        elif name.split("[")[0] not in test_functions(root / path):
            problems.append(module.at(module.tree, f"claim {claim!r}: {path} has no test {name}"))
    return problems


def test_recipes_compose(source):
    problems = [problem for module in recipes_of(source) for problem in not_composition(module)]
    assert not problems, "\n".join(problems)


def test_cards_are_complete(source):
    problems = [problem for module in recipes_of(source) for problem in wrong_card(module)]
    assert not problems, "\n".join(problems)


def test_every_claim_names_a_test(source, root):
    problems = [problem for module in recipes_of(source) for problem in unmeasured(module, root)]
    assert not problems, "\n".join(problems)


def test_card_fields_are_those_of_the_class(source):
    (module,) = [m for m in source if m.name == "milepost.recipe"]
    (item,) = [item for item in module.classes() if item.name == "Card"]
    assert {ast.unparse(node.target) for node in item.body if isinstance(node, ast.AnnAssign)} == CARD_FIELDS


GOOD = '''"""Ferry."""
from milepost.recipe import Card, Train
CARD = Card(title="Ferry", paper="arXiv:0", year=2026, domains=("text",), summary="S.", parts={"a": "b"},
    claims={"it holds": "tests/layout/test_recipes.py::test_recipes_compose"}, bibtex="@misc{}")
def build(*, width: int = 8) -> Train:
    return Train(width=width)
'''


def test_rules(parse, root):
    path = "src/milepost/recipes/ferry.py"
    good = parse(GOOD, path)
    assert not not_composition(good) + wrong_card(good) + unmeasured(good, root)
    for bad in ("width=width + 1", "width=[x for x in width]", "width=lambda: 1"):
        assert not_composition(parse(GOOD.replace("width=width", bad), path)), bad
    assert not_composition(parse("import torch\n" + GOOD, path))
    assert not_composition(parse(GOOD + "def other(): ...\n", path))
    assert not_composition(parse(GOOD.replace("width: int = 8", "width: int"), path))
    assert not_composition(parse(GOOD + "\n" * RECIPE_LINES, path))
    assert wrong_card(parse(GOOD.replace('"Ferry"', "NAME"), path))
    assert wrong_card(parse(GOOD.replace('summary="S.", ', ""), path))
    assert wrong_card(parse(GOOD.replace('("text",)', '("verse",)'), path))
    assert unmeasured(parse(GOOD.replace("test_recipes_compose", "test_nothing"), path), root)
    assert unmeasured(parse(GOOD.replace("layout/test_recipes.py", "layout/absent.py"), path), root)
