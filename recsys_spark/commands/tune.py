"""Command `tune`: tries configurations of [model] on the validation slice and writes the best as a file."""

from __future__ import annotations

from recsys_spark.commands.command import Command
from recsys_spark.commands.options import Options, Parser, whole_number


def add_arguments(parser: Parser) -> None:
    """Add the options."""
    parser.add_config("TOML file; its [model] is the first configuration tried")
    parser.add_argument("--run-date", required=True, metavar="YYYY-MM-DD", help="partition whose data are used")
    parser.add_argument("--as-of", metavar="TIME", help="data cut-off (default: run-date)")
    parser.add_count("--trials", "configurations to try, including those of earlier calls", 20)
    parser.add_count("--parallel", "how many at once", 1)
    parser.add_argument("--out", required=True, metavar="FILE", help="file for the winner, on the driver's machine")
    parser.add_argument(
        "--seed",
        type=lambda value: whole_number("--seed", value),
        metavar="N",
        help="of the search (default: run.seed)",
    )


def run(options: Options) -> int:
    """Run the stages before training, try configurations, print them and write the winner."""
    from recsys_spark.config.addresses import local_path
    from recsys_spark.config.file import load_config
    from recsys_spark.encoder_choice.report import text_table
    from recsys_spark.pipeline import parse_date, parse_time, run_pipeline
    from recsys_spark.spark.failures import named_failures
    from recsys_spark.spark.session import create_session
    from recsys_spark.tuning import file as tuning_file
    from recsys_spark.tuning import rounds as tuning

    file, out = local_path(options.config, option="--config"), local_path(options.out, option="--out")
    cfg = load_config(file)
    parse_date(options.run_date)
    if options.as_of:
        parse_time(options.as_of)
    tuning_file.check_installed()
    tuning_file.check_out(file, out)
    spark = create_session(cfg.spark, app_name="recsys-spark tune")
    try:
        ctx = run_pipeline(spark, cfg, options.run_date, as_of=options.as_of, stages=tuning.STAGES_BEFORE)
        with named_failures("tune"):
            seed = cfg.run.seed if options.seed is None else options.seed
            tuned = tuning.tune(ctx, n_trials=options.trials, parallel=options.parallel, seed=seed)
    finally:
        spark.stop()
    print(f"{text_table(tuning.table_rows(tuned))}\n\n{tuning.verdict(tuned, file)}")
    tuning_file.write_tuned(file, cfg, out, tuned.changes)
    print(f"wrote {out}")
    return 0


COMMAND = Command(
    "tune", "tries values of [model] on your own data and writes the best as a configuration file", add_arguments, run
)
