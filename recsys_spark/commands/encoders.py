"""Command `encoders`: measures encoders and backends on a sample of the sources, and says which one to take."""

from __future__ import annotations

from datetime import UTC, datetime

from recsys_spark.commands.command import Command
from recsys_spark.commands.options import Options, Parser


def add_arguments(parser: Parser) -> None:
    """Add the options."""
    parser.add_config("TOML file; its sources and [encoder] section are used")
    parser.add_argument("--run-date", metavar="YYYY-MM-DD", help="data before this day (default: today, UTC)")
    parser.add_argument(
        "--candidates",
        metavar="LIST",
        help="MODEL[@BACKEND],... or a file .toml with [[encoder]] sections "
        "(default: encoder.model under every backend, and installed packages that carry a model)",
    )
    parser.add_count("--texts", "texts on which the speed is measured", 2_000)
    parser.add_count("--users", "users on whom the recall is measured", 1_000)
    parser.add_count("--items", "items that are ranked, at most", 5_000)
    parser.add_count("--rounds", "processes per candidate, whose median is the speed", 3)
    parser.add_argument("--out", metavar="DIR", help="folder for encoders.md, encoders.json and encoders.png")


def run(options: Options) -> int:
    """Compare the candidates, print the table and the verdict, and write the report where one is asked for."""
    from recsys_spark.config.addresses import local_path
    from recsys_spark.config.file import load_config
    from recsys_spark.encoder_choice.candidates import read_candidates
    from recsys_spark.encoder_choice.compare import Sizes, compare, prepare
    from recsys_spark.encoder_choice.report import table_rows, text_table, write_report
    from recsys_spark.pipeline import parse_date
    from recsys_spark.spark.failures import named_failures
    from recsys_spark.spark.session import create_session

    out = local_path(options.out, option="--out") if options.out is not None else None
    cfg = load_config(options.config)
    run_date = parse_date(options.run_date or datetime.now(UTC).date())
    candidates = read_candidates(options.candidates, cfg)
    spark = create_session(cfg.spark, app_name="recsys-spark encoders")
    try:
        with named_failures("encoders"):
            prepared = prepare(spark, cfg, candidates, run_date, Sizes(options.texts, options.users, options.items))
        if not prepared.needs_spark:
            # What is measured shall not share the machine with a session that has nothing left to do.
            spark.stop()
        comparison = compare(prepared, options.rounds)
    finally:
        spark.stop()
    print(f"{text_table(table_rows(comparison))}\n\n{comparison.verdict.sentence}")
    for path in write_report(comparison, out) if out else ():
        print(f"wrote {path}")
    return 0


COMMAND = Command("encoders", "compares encoders on your own data and says which one to take", add_arguments, run)
