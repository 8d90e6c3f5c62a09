"""Imports point one way: jobs -> pipeline -> stages -> kernels, and everything may use tables, config and errors."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "recsys_spark"

# Part of the package -> the parts it may import while running.
MAY_IMPORT = {
    "errors": (),
    "config_section": (),
    "config_sources": ("config_section",),
    "config_model": ("config_section",),
    "config": ("config_section", "config_sources", "config_model", "errors"),
    "config_file": ("config", "errors"),
    "schema": ("errors",),
    "tables": ("schema",),
    "workers": ("errors",),
    "weights": ("config", "errors"),
    "kernels": ("kernels", "workers", "config", "errors"),
    "stages": ("kernels", "workers", "weights", "tables", "config", "errors"),
}
# Everything else lies outside the stages. What the pipeline stands on must not know what stands on it.
UNDER_THE_PIPELINE = ("session", "sources", "source_errors", "source_checks", "store", "filesystem")
FOUNDATION = tuple(part for part in MAY_IMPORT if part not in ("kernels", "stages"))
HEAVY = ("torch", "transformers", "matplotlib", "jinja2")
OPTIONAL = {"optuna", "tomlkit"}
"""Of the extra `tune`: imported inside functions alone, which only the command `tune` calls."""


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
        todo += ast.iter_child_nodes(node)


def part_of(name: str) -> str | None:
    """`recsys_spark.stages.score.build` -> `stages`; None outside the package."""
    parts = name.split(".")
    return parts[1] if parts[0] == PACKAGE and len(parts) > 1 else None


def broken_rules(module: str, source: str) -> list[str]:
    """What a module's imports break, in words."""
    part, broken = part_of(module), []
    for name in imports(source):
        other = part_of(name)
        if other is None or other.startswith("__"):
            continue
        if part in MAY_IMPORT and other not in MAY_IMPORT[part] and other != part:
            broken.append(f"{module} ({part}) imports {name}")
        if part in UNDER_THE_PIPELINE and other in ("stages", "pipeline"):
            broken.append(f"{module} lies under the pipeline and imports {name}")
        if part == "stages" and other == "stages" and not name.split(".")[2].startswith("_"):
            broken.append(f"{module} is a stage and imports the stage {name}")
        if other in ("cli", "jobs"):
            broken.append(f"{module} imports the command line, {name}")
    return broken


def test_imports_point_one_way() -> None:
    assert [line for module in modules() for line in broken_rules(module, source_of(module))] == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("recsys_spark.stages.score", "from recsys_spark.stages.embed import build_embeddings"),
        ("recsys_spark.stages.score", "from recsys_spark import store"),
        ("recsys_spark.kernels.topn", "def f():\n    import recsys_spark.stages.score"),
        ("recsys_spark.config", "from recsys_spark.tables import ITEMS"),
        ("recsys_spark.store", "from recsys_spark.pipeline import STAGES"),
        ("recsys_spark.pipeline", "from recsys_spark.cli import main"),
    ],
)
def test_a_wrong_import_is_noticed(module: str, line: str) -> None:
    assert broken_rules(module, line)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("recsys_spark.stages.ingest", "if TYPE_CHECKING:\n    from recsys_spark.sources import Mapped"),
        ("recsys_spark.stages.score", "from recsys_spark.kernels import topn"),
        ("recsys_spark.kernels.topn", "import numpy"),
        ("recsys_spark.pipeline", "from recsys_spark.stages.score import build_candidates"),
    ],
)
def test_a_right_import_is_not(module: str, line: str) -> None:
    assert broken_rules(module, line) == []


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


@pytest.mark.parametrize("module", modules(f"{PACKAGE}/kernels"))
def test_kernels_know_no_spark(module: str) -> None:
    spark = {name: by for name, by in reachable(module).items() if name.split(".")[0] in ("pyspark", "py4j")}
    assert spark == {}


def test_spark_is_found_where_it_is_reachable() -> None:
    assert any(name.startswith("pyspark") for name in reachable(f"{PACKAGE}.tables"))


def test_nothing_heavy_is_imported_with_the_foundation() -> None:
    for module in (*FOUNDATION, "session"):
        names = imports(source_of(f"{PACKAGE}.{module}"), top_level_only=True)
        assert [n for n in names if n.split(".")[0] in HEAVY] == []


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
