"""submit.sh has the commands and options of the one list of commands, and each reaches its job."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from recsys_spark.commands.registry import COMMANDS
from tests.contracts.conftest import ROOT, Submit

WITH_JOB = {name: command for name, command in COMMANDS.items() if command.has_job}


@pytest.mark.parametrize("name", [name for name in WITH_JOB if name == "train" or not WITH_JOB[name].is_stage])
def test_every_option_of_the_job_reaches_the_job_and_no_other_is_taken_for_one(
    submit: Submit, config: Path, tmp_path: Path, name: str
) -> None:
    known = COMMANDS[name].parser().options()
    known.pop("--config")
    given = [[option, "1"] if value else [option] for option, value in known.items()]
    done = submit(name, "--config", str(config), "--conf", "spark.a=1", *itertools.chain(*given))
    assert done.returncode == 0, done.stderr
    argv = (tmp_path / "argv").read_text().split("\0")[:-1]
    script = argv.index(str(ROOT / "jobs" / f"{name}.py"))
    words = argv[script + 1 :]
    assert words[:2] == ["--config", str(config)]
    assert sorted(words[2:]) == sorted(itertools.chain(*given))
    assert [option for option in known if option in argv[:script]] in ([], ["--verbose"])


def test_a_command_needs_no_run_date_and_none_that_it_does_not_take_is_passed(
    submit: Submit, config: Path, tmp_path: Path
) -> None:
    done = submit("vacuum", "--config", str(config), "--days=30", "--dry-run", "--master", "yarn")
    assert done.returncode == 0, done.stderr
    argv = (tmp_path / "argv").read_text().split("\0")[:-1]
    assert argv[argv.index(str(ROOT / "jobs" / "vacuum.py")) + 1 :] == [
        "--config",
        str(config),
        "--days",
        "30",
        "--dry-run",
    ]


def test_help_lists_every_stage_and_every_command_that_has_a_job(submit: Submit) -> None:
    done = submit("--help")
    assert done.returncode == 0
    listed = {
        kind: words.split()
        for kind, words in re.findall(r"^(STAGE|COMMAND) is one of: *(.+)$", done.stdout, re.MULTILINE)
    }
    assert sorted(listed["STAGE"]) == sorted(name for name, command in WITH_JOB.items() if command.is_stage)
    assert sorted(listed["COMMAND"]) == sorted(name for name, command in WITH_JOB.items() if not command.is_stage)
    assert sorted(WITH_JOB) == sorted(p.stem for p in (ROOT / "jobs").glob("*.py"))


def options_in_submit() -> dict[str, set[str]]:
    """Which options submit.sh lets through for each command; `*` is any stage."""
    text = (ROOT / "submit.sh").read_text(encoding="utf-8")
    table = text[text.index("options_of() {") :].split("esac")[0]
    return {
        name: set(words.split()) for name, words in re.findall(r"^ +(\S+)\) (?:echo '(.*)' )?;;$", table, re.MULTILINE)
    }


def test_the_table_of_submit_has_exactly_the_options_of_each_command() -> None:
    listed, shared = options_in_submit(), {"--config", "--verbose"}
    assert listed.keys() == {"*"} | {name for name, command in WITH_JOB.items() if not command.is_stage}
    for name, command in WITH_JOB.items():
        assert listed["*" if command.is_stage else name] == command.parser().options().keys() - shared, name
    text = (ROOT / "submit.sh").read_text(encoding="utf-8")
    every = set(re.findall(r"^JOB_OPTIONS='(.*)'$", text, re.MULTILINE)[0].split())
    assert every == set().union(*listed.values())


def test_the_usage_of_submit_names_every_option_of_every_command(submit: Submit) -> None:
    usage = submit("--help").stdout
    for name, command in WITH_JOB.items():
        assert [o for o in command.parser().options() if not re.search(rf"{o}\b", usage)] == [], name


def test_submit_asks_for_a_run_date_exactly_where_the_command_needs_one(submit: Submit, config: Path) -> None:
    for name, command in WITH_JOB.items():
        asked = "--run-date is missing" in submit(name, "--config", str(config)).stderr
        assert asked == ("--run-date" in command.parser().required()), name


def test_each_job_runs_what_it_is_named_after() -> None:
    for file in (ROOT / "jobs").glob("*.py"):
        assert f'main(["{file.stem}", *sys.argv[1:]])' in file.read_text(encoding="utf-8"), file.name
