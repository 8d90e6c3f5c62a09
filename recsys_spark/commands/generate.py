"""Command `generate`: writes the tables of the generated shop."""

from __future__ import annotations

from pathlib import Path

from recsys_spark.commands.command import Command
from recsys_spark.commands.options import Options, Parser


def add_sizes(parser: Parser) -> None:
    """Add the options that say how large the generated shop is."""
    parser.add_count("--users", "users of the shop", 2_000)
    parser.add_count("--items", "items of the shop", 800)
    parser.add_count("--behaviours", "behaviours of the shop", 60_000)
    parser.add_count("--seed", "seed of everything random", 7, least=None)


def add_arguments(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the tables")
    add_sizes(parser)


def run(options: Options) -> int:
    """Write the tables."""
    from recsys_spark.config.address_kinds import STORE
    from recsys_spark.config.addresses import address
    from recsys_spark.shop.generate import generate_shop
    from recsys_spark.spark.session import create_session

    out = address(options.out, Path.cwd(), STORE, key="--out", where="command line")
    spark = create_session(app_name="recsys-spark generate")
    generate_shop(
        spark,
        out,
        n_users=options.users,
        n_items=options.items,
        n_behaviours=options.behaviours,
        seed=options.seed,
    )
    print(f"wrote {out}")
    spark.stop()
    return 0


COMMAND = Command("generate", "writes the tables of a generated shop", add_arguments, run, has_job=False)
