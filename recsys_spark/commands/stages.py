"""Commands `ingest` to `report` and `pipeline`: run one stage or all of them for a date."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from recsys_spark.commands.command import Command
from recsys_spark.commands.options import Options, Parser
from recsys_spark.errors import ConfigError
from recsys_spark.steps.names import STAGE_NAMES, STAGES

DEVICES = ("auto", "cpu", "cuda")
DEVICE_KEYS = ("encoder.device", "model.device", "score.device")
"""The configuration keys that `--device` sets."""
PIPELINE = "pipeline"


def add_arguments(parser: Parser) -> None:
    """Add the options that all stages take."""
    parser.add_config("TOML file, see conf/ and docs/configuration.md")
    parser.add_argument("--run-date", required=True, metavar="YYYY-MM-DD", help="partition that is written")
    parser.add_argument("--as-of", metavar="TIME", help="data cut-off (default: run-date)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override one configuration value"
    )
    parser.add_choice("--device", f"where embed, train and score compute: {', '.join(DEVICE_KEYS)}", DEVICES)
    # The command line has taken it out of the words by then, so that it may stand before the command as well.
    parser.add_argument("--verbose", action="store_true", help="show the whole trace of an error")


def run(command: str, options: Options) -> int:
    """Run one stage, or all of them, and print where the lists and the report are."""
    from recsys_spark.config.file import load_config
    from recsys_spark.pipeline import parse_date, parse_time, run_pipeline
    from recsys_spark.spark.session import create_session
    from recsys_spark.spark.short_runs import local_bytes

    # Everything that can be wrong in the command line is found before Spark starts.
    parse_date(options.run_date)
    if options.as_of:
        parse_time(options.as_of)
    devices = dict.fromkeys(DEVICE_KEYS, options.device) if options.device else {}
    cfg = load_config(options.config, devices | dict(override(text) for text in options.set))
    spark = create_session(cfg.spark, n_bytes=local_bytes(cfg.sources.paths))
    try:
        stages = STAGE_NAMES if command == PIPELINE else (command,)
        ctx = run_pipeline(spark, cfg, options.run_date, as_of=options.as_of, stages=stages)
        if command in (PIPELINE, "publish"):
            print(f"published {ctx.fact('publish', 'path')}")
        if command in (PIPELINE, "report"):
            print(f"report    {ctx.fact('report', 'path')}")
    finally:
        spark.stop()
    return 0


def override(text: str) -> tuple[str, Any]:
    """Return key and value of `KEY=VALUE`; the value is JSON where it can be, else a string. Raises ConfigError.

    >>> override("run.top_n=50"), override("encoder.device=cpu")
    (('run.top_n', 50), ('encoder.device', 'cpu'))
    """
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


COMMANDS = (
    *(Command(name, does, add_arguments, partial(run, name), is_stage=True) for name, does in STAGES.items()),
    Command(PIPELINE, "runs all stages; skips what is done", add_arguments, partial(run, PIPELINE), is_stage=True),
)
