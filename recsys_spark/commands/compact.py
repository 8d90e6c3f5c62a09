"""Command `compact`: one sorted batch of well-sized files of each encoder's embeddings."""

from __future__ import annotations

from recsys_spark.commands.command import Command
from recsys_spark.commands.options import Options, Parser
from recsys_spark.commands.stored import store_of


def add_arguments(parser: Parser) -> None:
    """Add the options."""
    parser.add_config("TOML file; its run.store is looked after")


def run(options: Options) -> int:
    """Compact the embeddings of each encoder and print what was done."""
    with store_of(options.config, "compact") as store:
        for encoder_id in store.vectors.encoders():
            done = store.vectors.compact(encoder_id)
            print(f"encoder {encoder_id}: {'compacted' if done else 'nothing to do'}")
    return 0


COMMAND = Command(
    "compact", "makes one sorted batch of well-sized files of each encoder's embeddings", add_arguments, run
)
