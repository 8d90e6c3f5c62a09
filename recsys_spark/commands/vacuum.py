"""Command `vacuum`: drops the embeddings of texts that no profile uses any more, then compacts."""

from __future__ import annotations

from recsys_spark.commands.command import Command
from recsys_spark.commands.options import Options, Parser
from recsys_spark.commands.stored import store_of


def add_arguments(parser: Parser) -> None:
    """Add the options."""
    parser.add_config("TOML file; its run.store is looked after")
    parser.add_count("--days", "keep what a run of the last N days used", 30)
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and delete nothing")


def run(options: Options) -> int:
    """Drop what is unused, and print for each encoder what went or would go."""
    from recsys_spark.store.upkeep import vacuum

    with store_of(options.config, "vacuum") as store:
        for found in vacuum(store, options.days, dry_run=options.dry_run):
            share = f"{found.n_unused:,} of {found.n_vectors:,} vectors unused for {options.days} days"
            outcome = (
                "dropped" if found.done else "would go" if options.dry_run else "a run needs them; left for next time"
            )
            size = f"about {found.unused_bytes / 2**20:,.1f} of {found.n_bytes / 2**20:,.1f} MiB"
            print(f"encoder {found.encoder_id}: {share}, {size}: {outcome if found.n_unused else 'nothing to drop'}")
    return 0


COMMAND = Command("vacuum", "drops the embeddings that no run of the last days used, then compacts", add_arguments, run)
