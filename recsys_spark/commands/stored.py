"""Opens the store of a configuration for the commands that look after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys_spark.store.areas import Store


@contextmanager
def store_of(config: str, command: str) -> Iterator[Store]:
    """Give the store of a configuration file, in a session that ends with the block; failures name the command."""
    from recsys_spark.config.file import load_config
    from recsys_spark.spark.failures import named_failures
    from recsys_spark.spark.session import create_session
    from recsys_spark.store.areas import Store

    cfg = load_config(config)
    spark = create_session(cfg.spark, app_name=f"recsys-spark {command}")
    try:
        with named_failures(command):
            store = Store(spark, cfg.run.store)
            store.check()
            yield store
    finally:
        spark.stop()
