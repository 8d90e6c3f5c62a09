"""The one list of sinks."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import SparkSession

from recsys_spark.publishing.sinks.folder import FolderSink
from recsys_spark.publishing.sinks.sink import Sink
from recsys_spark.spark.filesystem import FileSystem

SINKS: dict[str, Callable[[SparkSession, FileSystem, str], Sink]] = {"folder": FolderSink}
"""Name -> what makes the sink, from the session, its files and a root address. The store publishes to `folder`."""
