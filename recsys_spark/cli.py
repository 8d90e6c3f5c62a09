"""The command line: stages, the pipeline, and what commands.py has. jobs/*.py and `recsys-spark` both end here."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from recsys_spark import __version__
from recsys_spark.commands import registry as commands
from recsys_spark.errors import ConfigError, RecsysError, nearest

STAGE_NAMES = ("ingest", "profiles", "embed", "train", "score", "rerank", "evaluate", "publish", "report")
DEVICES = ("auto", "cpu", "cuda")
COMMANDS = (*STAGE_NAMES, "pipeline", *commands.COMMANDS)
USAGE = f"""recsys-spark {__version__}: gives every user N items, from text and behaviours, on Spark

  recsys-spark pipeline --config FILE --run-date YYYY-MM-DD   all stages; what is done is skipped
  recsys-spark STAGE    --config FILE --run-date YYYY-MM-DD   one stage: {", ".join(STAGE_NAMES)}
  recsys-spark compact  --config FILE                         the embeddings of each encoder in well-sized files
  recsys-spark vacuum   --config FILE [--days 30 --dry-run]   drop embeddings that no run has used for so many days
  recsys-spark encoders --config FILE [--run-date D --candidates MODEL[@BACKEND],... --out DIR]   which encoder to take
  recsys-spark tune     --config FILE --run-date D --out FILE [--trials 20 --parallel N --seed S]   better values for [model]
  recsys-spark generate --out DIR [--users N --items N --behaviours N --seed S]
  recsys-spark demo     [--dir DIR --users N --items N --behaviours N]

Options of stages: --as-of TIME, --set KEY=VALUE (such as run.top_n=50), --device auto|cpu|cuda, --verbose. On a
cluster use submit.sh, with the same words for stages, compact, vacuum, encoders and tune.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 only if it did all it should; errors.py has the others."""
    words = list(sys.argv[1:] if argv is None else argv)
    verbose = "--verbose" in words
    words = [word for word in words if word != "--verbose"]
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("recsys_spark").setLevel(logging.INFO)
    try:
        return _run(words)
    except RecsysError as error:
        if verbose:
            traceback.print_exc()
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if words else 2
    if words[0] == "--version":
        print(__version__)
        return 0
    command, rest = words[0], words[1:]
    if command not in COMMANDS:
        close = nearest(command, COMMANDS)
        raise ConfigError(
            f"There is no command `{command}`",
            where="command line",
            found=command,
            expected=", ".join(COMMANDS),
            action=f"Did you mean `{close}`?" if close else "See recsys-spark --help.",
        )
    if command in commands.COMMANDS:
        return commands.COMMANDS[command](rest)
    return _stages(command, rest)


def _stages(command: str, words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"recsys-spark {command}")
    parser.add_argument("--config", required=True, help="TOML file, see conf/ and docs/configuration.md")
    parser.add_argument("--run-date", required=True, help="partition that is written, YYYY-MM-DD")
    parser.add_argument("--as-of", help="data cut-off (default: run-date)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one config value")
    parser.add_argument(
        "--device",
        choices=DEVICES,
        help="where embed, train and score compute: encoder.device, model.device, score.device",
    )
    # Taken out of the words by then, so that it may stand before the command as well.
    parser.add_argument("--verbose", action="store_true", help="show the whole trace of an error")
    options = parser.parse_args(words)

    from recsys_spark.config.file import load_config
    from recsys_spark.pipeline import NAMES, parse_date, parse_time, run_pipeline
    from recsys_spark.spark.session import create_session

    # Everything that can be wrong in what was typed is found before Spark starts.
    parse_date(options.run_date)
    if options.as_of:
        parse_time(options.as_of)
    devices = (
        dict.fromkeys(("encoder.device", "model.device", "score.device"), options.device) if options.device else {}
    )
    cfg = load_config(options.config, devices | dict(_override(text) for text in options.set))
    spark = create_session(cfg.spark)
    try:
        stages = NAMES if command == "pipeline" else (command,)
        ctx = run_pipeline(spark, cfg, options.run_date, as_of=options.as_of, stages=stages)
        if command in ("pipeline", "publish"):
            print(f"published {ctx.fact('publish', 'path')}")
        if command in ("pipeline", "report"):
            print(f"report    {ctx.fact('report', 'path')}")
    finally:
        spark.stop()
    return 0


def _override(text: str) -> tuple[str, Any]:
    """`run.top_n=50` -> ("run.top_n", 50); values are JSON where they can be, else strings."""
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise ConfigError(
            "--set needs KEY=VALUE",
            where="--set",
            found=text,
            expected="KEY=VALUE",
            action="Write it like run.top_n=50.",
        )
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value
