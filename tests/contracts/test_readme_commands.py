"""Every command in the documentation names targets, stages, options and files that exist."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys_spark.commands.registry import COMMANDS
from recsys_spark.config.file import load_config
from tests.markdown import ROOT, blocks, pages

INLINE = re.compile(r"`((?:make|recsys-spark|\./submit\.sh) [^`\n]+)`")
STAGES = {file.stem for file in (ROOT / "jobs").glob("*.py")}
OWN_COMMANDS = set(COMMANDS)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def commands(page: str) -> Iterator[list[str]]:
    """The make, recsys-spark and submit.sh commands of a page's sh blocks and inline code, as words."""
    shells = [body.replace("\\\n", " ") for language, body in blocks(page) if language in ("sh", "bash", "shell")]
    for line in [line for body in shells for line in body.splitlines()] + INLINE.findall(page):
        words = shlex.split(line, comments=True)
        if words and words[0].split("/")[-1] in ("make", "recsys-spark", "submit.sh"):
            yield words


def problems(words: list[str]) -> list[str]:
    """What a command names that does not exist. Words in capitals (STAGE, FILE) stand for something."""
    program, first = words[0].split("/")[-1], words[1] if len(words) > 1 else ""
    found = []
    if program == "make":
        return [f"no make target {t}" for t in words[1:] if "=" not in t and t not in targets()]
    known = STAGES if program == "submit.sh" else OWN_COMMANDS
    if not first.startswith("-") and not first.isupper() and first not in known:
        found.append(f"no stage {first}")
    if program == "submit.sh" and not (ROOT / "submit.sh").stat().st_mode & 0o100:
        found.append("submit.sh cannot be executed")
    if first in COMMANDS and program == "recsys-spark":
        taken = COMMANDS[first].parser().options()
        given = [word.partition("=")[0].strip("[]") for word in words[2:] if word.strip("[").startswith("--")]
        found += [f"{first} takes no {option}" for option in given if option not in (*taken, "--help", "--verbose")]
    for option, value in itertools.pairwise(words):
        if option == "--config" and not value.isupper() and not (ROOT / value).is_file():
            found.append(f"no file {value}")
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_commands_name_what_exists(page: Path) -> None:
    found = {" ".join(words): problems(words) for words in commands(page.read_text(encoding="utf-8"))}
    assert {command: lines for command, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "make tets",
        "./submit.sh trian --config FILE",
        "recsys-spark fit",
        "recsys-spark generate --rows 5",
        "./submit.sh train --config conf/absent.toml",
    ],
)
def test_a_wrong_command_is_noticed(line: str) -> None:
    assert next(problems(words) for words in commands(f"```sh\n{line}\n```\n"))


def test_readme_shows_both_commands_of_the_quick_start_and_every_command() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {("make", "demo"), ("make", "test")} <= {tuple(words) for words in commands(page)}
    assert [name for name in STAGES if f"`{name}`" not in page] == []
    assert [name for name in COMMANDS if not re.search(rf"\b{name}\b", page)] == []


def test_configuration_in_the_readme_is_valid(tmp_path: Path) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    configurations = [body for language, body in blocks(page) if language == "toml"]
    assert configurations
    for body in configurations:
        file = tmp_path / "readme.toml"
        file.write_text(body, encoding="utf-8")
        load_config(file)


def test_the_page_of_commands_has_a_row_for_each() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z]+)` \|", page, re.MULTILINE)) == set(COMMANDS) - {"pipeline"}
