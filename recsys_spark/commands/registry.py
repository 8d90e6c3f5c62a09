"""The commands beside the stages: generator, demo, upkeep of the embeddings, comparison of encoders, tuning. Each returns an exit status."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys_spark.store.areas import Store


def generate(words: Sequence[str]) -> int:
    """Write the generated shop's tables."""
    parser = argparse.ArgumentParser(prog="recsys-spark generate", description="Write the generated shop's tables.")
    parser.add_argument("--out", required=True)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--items", type=int, default=800)
    parser.add_argument("--behaviours", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(words)

    from recsys_spark.shop.generate import generate_shop
    from recsys_spark.spark.session import create_session

    spark = create_session(app_name="recsys-spark generate")
    generate_shop(
        spark,
        options.out,
        n_users=options.users,
        n_items=options.items,
        n_behaviours=options.behaviours,
        seed=options.seed,
    )
    print(f"wrote {options.out}")
    spark.stop()
    return 0


def demo(words: Sequence[str]) -> int:
    """Generate a shop, run the pipeline on it, and tell what happened."""
    from recsys_spark.pipeline import run_pipeline
    from recsys_spark.shop import demo
    from recsys_spark.tables import ITEM_PROFILES, METRICS, USER_PROFILES

    def runner(spark: Any, cfg: Any, run_date: Any) -> demo.Outcome:
        ctx = run_pipeline(spark, cfg, run_date)
        return demo.Outcome(
            tables={
                "user_profiles": ctx.table("profiles", USER_PROFILES),
                "item_profiles": ctx.table("profiles", ITEM_PROFILES),
                "recommendations": ctx.store.published(ctx.run_date),
                "metrics": ctx.table("evaluate", METRICS),
            },
            published=ctx.store.published_path(ctx.run_date),
            w_cos=ctx.fact("score", "w_cos"),
        )

    return demo.main(words, runner)


def compact(words: Sequence[str]) -> int:
    """Make one batch of the embeddings of each encoder."""
    options = _of_a_store("compact", "Make one sorted batch of well-sized files of each encoder's embeddings.", words)
    with _store(options.config, "compact") as store:
        for encoder_id in store.vectors.encoders():
            done = store.vectors.compact(encoder_id)
            print(f"encoder {encoder_id}: {'compacted' if done else 'nothing to do'}")
    return 0


def vacuum(words: Sequence[str]) -> int:
    """Drop the embeddings of texts that no profile uses any more, then compact."""
    options = _of_a_store("vacuum", "Drop the embeddings that no run of the last days used, then compact.", words)
    from recsys_spark.store.upkeep import vacuum

    with _store(options.config, "vacuum") as store:
        for found in vacuum(store, options.days, dry_run=options.dry_run):
            share = f"{found.n_unused:,} of {found.n_vectors:,} vectors unused for {options.days} days"
            outcome = (
                "dropped" if found.done else "would go" if options.dry_run else "a run needs them; left for next time"
            )
            size = f"about {found.unused_bytes / 2**20:,.1f} of {found.n_bytes / 2**20:,.1f} MiB"
            print(f"encoder {found.encoder_id}: {share}, {size}: {outcome if found.n_unused else 'nothing to drop'}")
    return 0


def encoders(words: Sequence[str]) -> int:
    """Measure encoders and backends on a sample of the sources, and say which one to take."""
    parser = argparse.ArgumentParser(prog="recsys-spark encoders", description="Compare encoders on your own data.")
    parser.add_argument("--config", required=True, help="TOML file; its sources and [encoder] section are used")
    parser.add_argument("--run-date", help="data before this day, YYYY-MM-DD (default: today, UTC)")
    parser.add_argument(
        "--candidates",
        help="MODEL[@BACKEND],... or a file .toml with [[encoder]] sections "
        "(default: encoder.model under every backend, and installed packages that carry a model)",
    )
    parser.add_argument(
        "--texts", type=_count, default=2_000, help="texts that the speed is measured on (default: %(default)s)"
    )
    parser.add_argument(
        "--users", type=_count, default=1_000, help="users that the recall is measured on (default: %(default)s)"
    )
    parser.add_argument(
        "--items", type=_count, default=5_000, help="items that are ranked, at most (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds",
        type=_count,
        default=3,
        help="processes per candidate, whose median is the speed (default: %(default)s)",
    )
    parser.add_argument("--out", help="folder for encoders.md, encoders.json and encoders.png")
    options = parser.parse_args(words)

    from recsys_spark.config.file import load_config
    from recsys_spark.encoder_choice.candidates import read_candidates
    from recsys_spark.encoder_choice.compare import Sizes, compare, prepare
    from recsys_spark.encoder_choice.report import table_rows, text_table, write_report
    from recsys_spark.pipeline import parse_date
    from recsys_spark.spark.failures import named_failures
    from recsys_spark.spark.session import create_session

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
    for path in write_report(comparison, Path(options.out)) if options.out else ():
        print(f"wrote {path}")
    return 0


def tune(words: Sequence[str]) -> int:
    """Try configurations of [model] on the validation slice and write the winner as a configuration file."""
    parser = argparse.ArgumentParser(prog="recsys-spark tune", description="Tune [model] on your own data.")
    parser.add_argument("--config", required=True, help="TOML file; its [model] is the first configuration tried")
    parser.add_argument("--run-date", required=True, help="partition whose data are used, YYYY-MM-DD")
    parser.add_argument("--as-of", help="data cut-off (default: run-date)")
    parser.add_argument(
        "--trials",
        type=_count,
        default=20,
        help="configurations to try, those of earlier calls included (default: %(default)s)",
    )
    parser.add_argument("--parallel", type=_count, default=1, help="how many at once (default: %(default)s)")
    parser.add_argument("--out", required=True, help="file for the winner, on the driver's machine")
    parser.add_argument("--seed", type=int, help="of the search (default: run.seed)")
    options = parser.parse_args(words)

    from recsys_spark.config.file import load_config
    from recsys_spark.encoder_choice.report import text_table
    from recsys_spark.pipeline import parse_date, parse_time, run_pipeline
    from recsys_spark.spark.failures import named_failures
    from recsys_spark.spark.session import create_session
    from recsys_spark.tuning import file as tuning_file
    from recsys_spark.tuning import rounds as tuning

    file, out = Path(options.config), Path(options.out)
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


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "compact": compact,
    "vacuum": vacuum,
    "generate": generate,
    "demo": demo,
    "encoders": encoders,
    "tune": tune,
}


def _of_a_store(command: str, description: str, words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"recsys-spark {command}", description=description)
    parser.add_argument("--config", required=True, help="TOML file; its run.store is looked after")
    if command == "vacuum":
        parser.add_argument("--days", type=_days, default=30, help="keep what a run of so many days used (default: 30)")
        parser.add_argument("--dry-run", action="store_true", help="say what would go, and delete nothing")
    return parser.parse_args(words)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number, 1 or more")
    return int(text)


def _days(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days, 1 or more")
    return int(text)


@contextmanager
def _store(config: str, command: str) -> Iterator[Store]:
    """The store of a configuration, with a session of its own and failures that name the command."""
    from recsys_spark.config.file import load_config
    from recsys_spark.spark.failures import named_failures
    from recsys_spark.spark.session import create_session
    from recsys_spark.store.areas import Store

    cfg = load_config(config)
    spark = create_session(cfg.spark, app_name=f"recsys-spark {command}")
    try:
        with named_failures(command):
            yield Store(spark, cfg.run.store)
    finally:
        spark.stop()
