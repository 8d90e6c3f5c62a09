"""The import law: every module lies in one layer and imports only its own layer and those below."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "recsys_spark"

LAYERS = (
    "errors",
    "numerics",
    # Metrics are arithmetic that the configuration names and training measures with, so they lie below both.
    "evaluation.kernels",
    "config",
    "worker",
    "schema",
    "contract",
    "tables",
    "spark",
    "ingest",
    "profiles.kernels",
    "profiles",
    "encoding.kernels",
    "encoding.files",
    "encoding",
    "model.kernels",
    "model",
    "training.kernels",
    "training",
    "scoring.kernels",
    "scoring",
    "reranking",
    "evaluation",
    "publishing",
    "store",
    "steps",
    "pipeline",
    "encoder_choice",
    "tuning",
    "shop",
    "commands",
    "cli",
    "reference",
    "precompile",
)
"""From the ground up: a module imports its own layer and those before it. Capabilities follow the order of the data."""
WITHOUT_SPARK = ("errors", "numerics", "config", "worker")
FOUNDATION = ("errors", "config", "schema", "contract", "tables", "spark.session")
HEAVY = ("torch", "transformers", "matplotlib", "jinja2")
OPTIONAL = {"optuna", "tomlkit"}
"""Of the extra `tune`: imported inside functions alone, which only the command `tune` calls."""


@cache
def modules(folder: str = PACKAGE) -> list[str]:
    """Dotted names of the modules below a folder of the repository."""
    files = sorted((ROOT / folder).rglob("*.py"))
    return [".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for f in files]


def source_of(module: str) -> str:
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.read_text(encoding="utf-8")


def imports(source: str, *, top_level_only: bool = False) -> Iterator[str]:
    """Dotted names that a module imports while running; imports under TYPE_CHECKING are for the type checker."""
    todo: list[ast.AST] = [ast.parse(source)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
            continue
        if top_level_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            # `from recsys_spark import tables` imports recsys_spark.tables.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from loaded_by_name(node)
        todo += ast.iter_child_nodes(node)


def loaded_by_name(call: ast.Call) -> Iterator[str]:
    """The constant beginning of the name in `import_module(f"recsys_spark.steps.{name}")`: `recsys_spark.steps`."""
    name = call.args[0]
    text = name.values[0] if isinstance(name, ast.JoinedStr) else name
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        yield text.value.rstrip(".")


def layer_of(module: str) -> int | None:
    """Position in LAYERS of the longest entry that the module lies in; None for a module outside the law."""
    name = module.removeprefix(PACKAGE).lstrip(".")
    found = [layer for layer in LAYERS if name == layer or name.startswith(f"{layer}.")]
    return LAYERS.index(max(found, key=len)) if found else None


def module_of(name: str) -> str:
    """`recsys_spark.scoring.score.build_candidates` -> `recsys_spark.scoring.score`."""
    known = set(modules())
    while name not in known and "." in name:
        name = name.rpartition(".")[0]
    return name


def broken_rules(module: str, source: str) -> list[str]:
    """What a module's imports break, in words."""
    mine, broken = layer_of(module), []
    for name in imports(source):
        other = module_of(name)
        if not other.startswith(f"{PACKAGE}."):
            continue
        theirs = layer_of(other)
        if mine is None or theirs is None:
            broken.append(f"{module} or {other} is in no layer")
        elif theirs > mine:
            broken.append(f"{module} ({LAYERS[mine]}) imports {other} ({LAYERS[theirs]}), which lies above it")
    return broken


def test_every_module_is_in_a_layer() -> None:
    assert [module for module in modules() if module != PACKAGE and layer_of(module) is None] == []


def test_every_layer_has_a_module() -> None:
    assert {LAYERS[layer_of(m) or 0] for m in modules()} == set(LAYERS)


def test_imports_point_one_way() -> None:
    assert [line for module in modules() for line in broken_rules(module, source_of(module))] == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("recsys_spark.profiles.users", "from recsys_spark.scoring.score import build_candidates"),
        ("recsys_spark.scoring.score", "from recsys_spark.store import areas"),
        ("recsys_spark.scoring.kernels.topn", "def f():\n    import recsys_spark.scoring.score"),
        ("recsys_spark.encoding.kernels.encoder", "from recsys_spark.encoding.files.load import load_encoder"),
        ("recsys_spark.config.sections", "from recsys_spark.contract import ITEMS"),
        ("recsys_spark.store.areas", "from recsys_spark.pipeline import STAGES"),
        ("recsys_spark.steps.evaluate", "from recsys_spark.pipeline import run_stages"),
        ("recsys_spark.pipeline", "from recsys_spark.cli import main"),
        ("recsys_spark.profiles.users", 'import_module("recsys_spark.pipeline")'),
        ("recsys_spark.profiles.users", 'importlib.import_module(f"recsys_spark.steps.{name}")'),
        ("recsys_spark.loose", "from recsys_spark.errors import RecsysError"),
    ],
)
def test_a_wrong_import_is_noticed(module: str, line: str) -> None:
    assert broken_rules(module, line)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("recsys_spark.profiles.users", "if TYPE_CHECKING:\n    from recsys_spark.store.areas import Store"),
        ("recsys_spark.scoring.score", "from recsys_spark.scoring.kernels import topn"),
        ("recsys_spark.scoring.kernels.topn", "import numpy"),
        ("recsys_spark.steps.score", "from recsys_spark.scoring.score import build_candidates"),
    ],
)
def test_a_right_import_is_not(module: str, line: str) -> None:
    assert broken_rules(module, line) == []


@cache
def defined(module: str) -> frozenset[str]:
    """Names that a module defines at its top level, and the modules of a package."""
    path = ROOT.joinpath(*module.split("."))
    found = {file.stem for file in path.iterdir() if file.is_dir() or file.suffix == ".py"} if path.is_dir() else set()
    todo: list[ast.AST] = list(ast.parse(source_of(module)).body)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.If, ast.Try)):
            todo += ast.iter_child_nodes(node)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            found |= {
                name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
            }
    return frozenset(found)


def borrowed(source: str) -> list[str]:
    """Names that are imported from a module of ours that does not define them."""
    names = [name.rpartition(".") for name in imports(source)]
    ours = [(module, name) for module, _, name in names if module.split(".")[0] in (PACKAGE, "benchmarks")]
    return [f"{module}.{name}" for module, name in ours if name not in defined(module)]


@pytest.mark.parametrize("folder", [PACKAGE, "benchmarks", "tests", "jobs"])
def test_a_name_is_imported_from_the_module_that_defines_it(folder: str) -> None:
    found = {module: borrowed(source_of(module)) for module in modules(folder)}
    assert {module: names for module, names in found.items() if names} == {}


def test_a_borrowed_name_is_noticed() -> None:
    line = "def f():\n    from recsys_spark.tables import CONTRACT, METRICS"
    assert borrowed(line) == ["recsys_spark.tables.CONTRACT"]


def reachable(module: str) -> dict[str, str]:
    """Every name that importing or using a module may import, with the module that imports it."""
    found: dict[str, str] = {}
    todo, known = [module], set(modules())
    while todo:
        current = todo.pop()
        for name in imports(source_of(current)):
            if name in found:
                continue
            found[name] = current
            # `recsys_spark.errors.nearest` is defined in the module recsys_spark.errors.
            todo += [m for m in (name, name.rpartition(".")[0]) if m in known and m != PACKAGE]
    return found


def knows_no_spark(module: str) -> bool:
    parts = module.split(".")[1:]
    return "kernels" in parts or parts[:1] in ([name] for name in WITHOUT_SPARK)


@pytest.mark.parametrize("module", [module for module in modules() if knows_no_spark(module)])
def test_kernels_know_no_spark(module: str) -> None:
    spark = {name: by for name, by in reachable(module).items() if name.split(".")[0] in ("pyspark", "py4j")}
    assert spark == {}


def test_spark_is_found_where_it_is_reachable() -> None:
    assert any(name.startswith("pyspark") for name in reachable(f"{PACKAGE}.tables"))


def test_nothing_heavy_is_imported_with_the_foundation() -> None:
    for module in modules():
        if not any(f"{module}.".startswith(f"{PACKAGE}.{part}.") for part in FOUNDATION):
            continue
        names = imports(source_of(module), top_level_only=True)
        assert [n for n in names if n.split(".")[0] in HEAVY] == [], module


def test_what_may_be_absent_is_imported_where_it_is_used() -> None:
    for module in modules():
        names = {name.split(".")[0] for name in imports(source_of(module), top_level_only=True)}
        assert not names & OPTIONAL, module


def test_jobs_know_only_the_command_line() -> None:
    for file in (ROOT / "jobs").glob("*.py"):
        assert set(imports(file.read_text(encoding="utf-8"))) <= {"sys", f"{PACKAGE}.cli.main"}, file.name


def test_what_the_package_imports_is_installed_with_it() -> None:
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    required = re.findall(r'"([\w-]+)[><=]', setup[setup.index("install_requires") : setup.index("extras_require")])
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower()
    # Brought by PySpark, numba and jinja2, which say in which version.
    brought = {"py4j", "llvmlite", "markupsafe"}
    # Of the extra of that name, imported inside functions.
    optional = {"mlflow"}
    known = {PACKAGE, *brought, *optional, *sys.stdlib_module_names, *required}
    found = {name.split(".")[0] for module in modules() for name in imports(source_of(module))}
    assert found - known == OPTIONAL
    extra = setup[setup.index('"tune": [') :].split("]", maxsplit=1)[0]
    assert set(re.findall(r'"([\w-]+)[><=]', extra)) == OPTIONAL
    assert [name for name in (*required, *OPTIONAL) if f"\n{name.lower()}==" not in constraints] == []
