"""Command `demo`: generates a shop, runs the pipeline on it, and tells what happened."""

from __future__ import annotations

from typing import Any

from recsys_spark.commands.command import Command
from recsys_spark.commands.generate import add_sizes
from recsys_spark.commands.options import Options, Parser


def add_arguments(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument(
        "--dir",
        default="demo-store",
        metavar="DIR",
        help="folder of the shop, its configuration and the store (default: %(default)s)",
    )
    add_sizes(parser)


def run(options: Options) -> int:
    """Run the demo and print what three users did and get."""
    from recsys_spark.config.address_kinds import SHOP
    from recsys_spark.config.addresses import local_path
    from recsys_spark.pipeline import run_pipeline
    from recsys_spark.shop import demo
    from recsys_spark.tables import ITEM_PROFILES, METRICS, USER_PROFILES

    def runner(spark: Any, cfg: Any, run_date: Any) -> demo.Outcome:
        ctx = run_pipeline(spark, cfg, run_date)
        return demo.Outcome(
            tables={
                "user_profiles": ctx.table("profiles", USER_PROFILES),
                "item_profiles": ctx.table("profiles", ITEM_PROFILES),
                "recommendations": ctx.store.lists.published(ctx.run_date),
                "metrics": ctx.table("evaluate", METRICS),
            },
            published=ctx.store.lists.path(ctx.run_date),
            w_cos=ctx.fact("score", "w_cos"),
        )

    sizes = {"n_users": options.users, "n_items": options.items, "n_behaviours": options.behaviours}
    folder = local_path(options.dir, option="--dir", kind=SHOP).resolve()
    demo.run_demo(folder, {**sizes, "seed": options.seed}, runner)
    return 0


COMMAND = Command(
    "demo", "generates a shop, runs the pipeline on it and tells what happened", add_arguments, run, has_job=False
)
