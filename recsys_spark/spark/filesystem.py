"""Files of any scheme Spark knows (local, hdfs, s3a ...), through Hadoop's own client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from recsys_spark.spark.java_calls import java_class


@dataclass(frozen=True)
class FileStatus:
    """A file that a path or glob matched."""

    path: str
    n_bytes: int
    modified_ms: int


class FileSystem:
    """The few operations the store needs. Renames are atomic on HDFS and local disks, copies on object stores."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._jvm: Any = spark.sparkContext._jvm
        self._conf = spark.sparkContext._jsc.hadoopConfiguration()

    def _open(self, path: str) -> tuple[Any, Any]:
        where = java_class(self._jvm, "org.apache.hadoop.fs.Path")(path)
        return where.getFileSystem(self._conf), where

    def exists(self, path: str) -> bool:
        """Return whether a file or folder exists."""
        fs, where = self._open(path)
        return bool(fs.exists(where))

    def names(self, folder: str) -> list[str]:
        """Return sorted names inside a folder; empty where the folder does not exist."""
        fs, where = self._open(folder)
        if not fs.exists(where):
            return []
        return sorted(str(status.getPath().getName()) for status in fs.listStatus(where))

    def matches(self, pattern: str) -> list[FileStatus]:
        """Return the files that a path or glob matches, including those inside matched folders, sorted by path."""
        fs, where = self._open(pattern)
        found: list[FileStatus] = []
        waiting = list(fs.globStatus(where) or [])
        while waiting:
            status = waiting.pop()
            if status.isDirectory():
                waiting += list(fs.listStatus(status.getPath()))
            else:
                found.append(
                    FileStatus(
                        str(status.getPath().toString()), int(status.getLen()), int(status.getModificationTime())
                    )
                )
        return sorted(found, key=lambda f: f.path)

    def read(self, path: str) -> bytes:
        """Return the whole content of a file."""
        fs, where = self._open(path)
        stream = fs.open(where)
        try:
            return bytes(java_class(self._jvm, "org.apache.commons.io.IOUtils").toByteArray(stream))
        finally:
            stream.close()

    def head(self, uri: str, n_bytes: int, options: Mapping[str, str] | None = None) -> bytes:
        """Return at most the first bytes of a file's content. A file whose ending names a codec is decompressed.

        ``uri`` is percent-encoded, as Spark names the files that it reads. ``options`` are properties of Hadoop.
        """
        conf = java_class(self._jvm, "org.apache.hadoop.conf.Configuration")(self._conf)
        for key, value in (options or {}).items():
            conf.set(key, value)
        where = java_class(self._jvm, "org.apache.hadoop.fs.Path")(java_class(self._jvm, "java.net.URI")(uri))
        codec = java_class(self._jvm, "org.apache.hadoop.io.compress.CompressionCodecFactory")(conf).getCodec(where)
        stream = where.getFileSystem(conf).open(where)
        try:
            content = codec.createInputStream(stream) if codec is not None else stream
            bounded = java_class(self._jvm, "org.apache.commons.io.input.BoundedInputStream")(content, n_bytes)
            return bytes(java_class(self._jvm, "org.apache.commons.io.IOUtils").toByteArray(bounded))
        finally:
            stream.close()

    def qualified(self, path: str) -> str:
        """Return the path with scheme and authority, as :meth:`matches` writes the paths below it."""
        fs, where = self._open(path)
        return str(fs.makeQualified(where).toString())

    def copy_to_local(self, path: str, target: str) -> None:
        """Copy a file to this machine's disk, streamed inside the JVM: weights do not fit through :meth:`read`."""
        fs, where = self._open(path)
        local = java_class(self._jvm, "org.apache.hadoop.fs.Path")(target)
        # The raw local file system, which leaves no .crc file next to the target.
        fs.copyToLocalFile(False, where, local, True)

    def write(self, path: str, content: bytes) -> None:
        """Write a file next to its place, then move it there, so that no reader sees half of it."""
        fs, where = self._open(path)
        beside = java_class(self._jvm, "org.apache.hadoop.fs.Path")(f"{where.getParent()}/.{where.getName()}.part")
        stream = fs.create(beside, True)
        try:
            stream.write(content)
        finally:
            stream.close()
        if fs.exists(where):
            fs.delete(where, False)
        if not fs.rename(beside, where):
            raise OSError(f"cannot move {beside} to {where}")

    def rename(self, source: str, target: str) -> None:
        """Move a file or folder; the target must not exist."""
        fs, where = self._open(source)
        destination = java_class(self._jvm, "org.apache.hadoop.fs.Path")(target)
        fs.mkdirs(destination.getParent())
        if not fs.rename(where, destination):
            raise OSError(f"cannot move {source} to {target}")

    def delete(self, path: str) -> None:
        """Remove a file or a folder with its content; nothing happens where it does not exist."""
        fs, where = self._open(path)
        fs.delete(where, True)
