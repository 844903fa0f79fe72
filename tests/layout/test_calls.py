"""Dangerous calls are absent from the source: no code in stored data, no shell, no network, no global randomness."""

from __future__ import annotations

import ast

BANNED_IMPORTS = {
    "pickle": "stored data never runs code", "cloudpickle": "stored data never runs code",
    "joblib": "it pickles", "dill": "it pickles", "shelve": "it pickles", "marshal": "it loads code",
    "random": "no global random state: milepost.keys", "secrets": "randomness comes from keys: milepost.keys",
}  # fmt: skip
NETWORK = {"urllib.request", "http.client", "requests", "httpx", "socket", "aiohttp", "ftplib", "smtplib"}
NETWORK_FILES = {
    "src/milepost/engines/on_ray/cluster.py",
    "src/milepost/policies/endpoint.py",
    "src/milepost/rewards/judge.py",
}  # they talk to a server that the user names
# Wraps a library that draws from the global streams: it sets them aside and puts them back. Its own test shows that.
SETS_ASIDE = {"src/milepost/environments/reasoning.py"}
BUILTINS = {"eval", "exec", "compile", "__import__", "input", "breakpoint"}
CALLS = {
    "torch.load": "it can run code: safetensors", "torch.save": "it pickles: safetensors",
    "yaml.load": "it can run code: TOML or JSON", "os.system": "a shell", "os.popen": "a shell",
    "torch.manual_seed": "global random state", "torch.seed": "global random state",
    "torch.random.manual_seed": "global random state", "torch.set_default_dtype": "global state",
    "torch.set_num_threads": "global state: the command sets it, not the library",
}  # fmt: skip
# The command owns its process; it may set what a library must not.
PROCESS_OWNER = {"torch.set_num_threads": ("cli",), "compile": (), "exec": ("jail",)}
DRAWS = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson"}
DRAWS_IN_PLACE = {
    "uniform_",
    "normal_",
    "bernoulli_",
    "random_",
    "exponential_",
    "geometric_",
    "cauchy_",
    "log_normal_",
}
NUMPY_RANDOM = {"Generator", "Philox", "SeedSequence", "BitGenerator"}


def banned_import(module) -> list[str]:
    """Imports of modules that pickle, draw from hidden state or talk to the network."""
    problems = []
    for node in ast.walk(module.tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            aside = name == "random" and module.path in SETS_ASIDE
            if name.split(".")[0] in BANNED_IMPORTS and not aside:
                problems.append(module.at(node, f"{name}: {BANNED_IMPORTS[name.split('.')[0]]}"))
            if (name in NETWORK or name.split(".")[0] in NETWORK) and module.path not in NETWORK_FILES:
                problems.append(module.at(node, f"{name}: no network at run time"))
    return problems


def forked(module) -> set[int]:
    """Nodes inside `with torch.random.fork_rng(...)`, which puts the global generator back."""
    withs = [node for node in ast.walk(module.tree) if isinstance(node, ast.With)]
    inside = [w for w in withs if any("random.fork_rng(" in ast.unparse(item.context_expr) for item in w.items)]
    return {id(node) for block in inside for node in ast.walk(block)}


def banned_call(module) -> list[str]:
    """Calls that run code, start a shell or touch global state."""
    problems, put_back = [], forked(module)
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        here = module.folder in PROCESS_OWNER.get(name, ()) or (name == "torch.manual_seed" and id(node) in put_back)
        if name in BUILTINS and not here:
            problems.append(module.at(node, f"{name}() runs code or waits for a person"))
        if name in CALLS and not here:
            problems.append(module.at(node, f"{name}: {CALLS[name]}"))
        if name == "print" and module.folder != "cli":
            problems.append(module.at(node, "the library never prints"))
        for keyword in node.keywords:
            if keyword.arg in ("shell", "allow_pickle") and ast.unparse(keyword.value) != "False":
                problems.append(module.at(node, f"{keyword.arg}={ast.unparse(keyword.value)}"))
        if isinstance(node.func, ast.Attribute) and node.func.attr == "from_pretrained":
            local = [k for k in node.keywords if k.arg == "local_files_only" and ast.unparse(k.value) == "True"]
            if not local and not name.startswith("Peft"):
                problems.append(module.at(node, f"{name} without local_files_only=True may go to the network"))
    # By word, not by call: also as a keyword, in a mapping or in a configuration string.
    if "trust_remote_code" in module.text:
        problems.append(module.at(module.tree, "trust_remote_code runs code from a model's repository"))
    return problems


def hidden_randomness(module) -> list[str]:
    """Draws that do not name their generator."""
    problems = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            named = any(keyword.arg == "generator" for keyword in node.keywords)
            drawn = ast.unparse(node.func.value) == "torch" and node.func.attr in DRAWS
            if (drawn or node.func.attr in DRAWS_IN_PLACE) and not named:
                problems.append(module.at(node, f"{ast.unparse(node.func)} without generator="))
        legacy = isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "numpy.random")
        if legacy and node.attr not in NUMPY_RANDOM and module.path not in SETS_ASIDE:
            problems.append(module.at(node, f"{ast.unparse(node)} draws from state that no key made"))
    return problems


def swallowed(module) -> list[str]:
    """Handlers that hide every error."""
    problems = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler):
            wide = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            empty = all(isinstance(s, ast.Pass | ast.Continue) or ast.unparse(s) == "..." for s in node.body)
            if node.type is None or (wide and empty):
                problems.append(module.at(node, "a handler that hides every error"))
        suppresses = isinstance(node, ast.Call) and ast.unparse(node.func) in ("suppress", "contextlib.suppress")
        if suppresses and any(ast.unparse(a) in ("Exception", "BaseException") for a in node.args):
            problems.append(module.at(node, "suppress(Exception) hides every error"))
    return problems


def inherits(module, concrete: set[str]) -> list[str]:
    """Classes that inherit from a concrete class of the package: wrap it, or pass it another part."""
    problems = []
    for item in module.classes():
        for base in item.bases:
            package, _, name = ast.unparse(base).split("[")[0].rpartition(".")
            if name in concrete and not package.startswith("torch"):  # torch.autograd.Function, not a reward
                problems.append(module.at(item, f"{item.name} inherits from the concrete class {name}"))
    return problems


def concrete_classes(modules) -> set[str]:
    """Names of classes of the package that are neither protocols nor errors."""
    found: dict[str, list[str]] = {
        item.name: [ast.unparse(b) for b in item.bases] for m in modules for item in m.classes()
    }

    def is_open(name: str) -> bool:
        bases = [base.split("[")[0].rpartition(".")[2] for base in found.get(name, [])]
        return any(base in ("Protocol", "Exception") or is_open(base) for base in bases)

    return {name for name in found if not is_open(name)}


RULES = (banned_import, banned_call, hidden_randomness, swallowed)


def test_source_is_clean(source):
    problems = [problem for rule in RULES for module in source for problem in rule(module)]
    assert not problems, "\n".join(problems)


def test_concrete_classes_are_final(source):
    concrete = concrete_classes(source)
    problems = [problem for module in source for problem in inherits(module, concrete)]
    assert not problems, "\n".join(problems)


def test_rules_see_violations(parse):
    for text in (
        "import pickle",
        "from joblib import dump",
        "import random",
        "from urllib import request",
        "import requests",
    ):
        assert banned_import(parse(text)), text
    calls = (
        "eval('1')", "exec(x)", "torch.load(f)", "torch.save(x, f)", "run(x, shell=True)", "print(1)",
        "np.load(f, allow_pickle=True)",
        "AutoModel.from_pretrained(f)", "AutoModel.from_pretrained(f, trust_remote_code=True, local_files_only=True)",
        "torch.manual_seed(0)", "torch.set_num_threads(1)",
    )  # fmt: skip
    for text in calls:
        assert banned_call(parse(text)), text
    assert not banned_call(parse("model.eval()\nre.compile('x')\nrun(x, shell=False)"))
    assert not banned_call(parse("print(1)", "src/milepost/cli/show.py"))
    assert not banned_call(parse("with torch.random.fork_rng(devices=[]):\n    torch.manual_seed(1)\n"))
    for text in ("torch.rand(3)", "x.uniform_()", "np.random.rand()", "numpy.random.default_rng()"):
        assert hidden_randomness(parse(text)), text
    assert not hidden_randomness(parse("torch.rand(3, generator=g)\nnp.random.Generator(np.random.Philox(key=1))"))
    for body in ("except:\n    raise", "except Exception:\n    pass", "except BaseException:\n    ..."):
        assert swallowed(parse(f"try:\n    f()\n{body}\n")), body
    assert swallowed(parse("with contextlib.suppress(Exception):\n    f()\n"))
    assert not swallowed(parse("try:\n    f()\nexcept ProcessLookupError:\n    pass\n"))
    family = [
        parse(
            "class A(Protocol): ...\nclass E(Exception): ...\nclass F(E): ...\n"
            "class B(A): ...\nclass C: ...\nclass D(C): ..."
        )
    ]
    assert inherits(family[0], concrete_classes(family)) == [
        "src/milepost/credit/example.py:6: D inherits from the concrete class C"
    ]
