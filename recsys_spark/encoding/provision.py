"""How the driver finds the encoder's model, and how the model gets to the executors.

The driver finds or fetches the model once (:func:`provide`). `resolve_encoder` checks it, and :func:`ship` gives it to
Spark. A worker uses the first copy on its machine that has the driver's fingerprint (`verified_folder`).
"""

from __future__ import annotations

import hashlib
import logging
import tarfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from pyspark import SparkFiles
from pyspark.sql import SparkSession

from recsys_spark.config.addresses import has_scheme
from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.files.archive import ARCHIVE_SUFFIXES, cached_folder, is_archive, unpack
from recsys_spark.encoding.files.checks import is_kept, kept_files, no_weights
from recsys_spark.encoding.files.checksums import sha256_of
from recsys_spark.encoding.files.find import SUPPORTED, find_folder, is_hub_id, model_folder, model_path
from recsys_spark.encoding.files.hub import hub_folder
from recsys_spark.encoding.files.identity import loaded_files
from recsys_spark.encoding.files.modules import weight_patterns
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.errors import EncoderError
from recsys_spark.spark.driver import carried_archives, carry_archive, property_of
from recsys_spark.spark.failures import JavaFailure, java_message
from recsys_spark.spark.filesystem import FileStatus, FileSystem
from recsys_spark.spark.session import is_local

log = logging.getLogger("recsys_spark")


@dataclass(frozen=True)
class Provided:
    """The model on the driver; ``with_job`` is its place on every executor where an archive of the job contains it."""

    folder: Path
    with_job: str = ""


def provide(encoder: Encoder, spark: SparkSession) -> Provided:
    """Find the model of ``[encoder]``, and fetch or unpack it where necessary; raises EncoderError.

    An archive of the job comes first, since a package may have the same name. A hub id comes last.
    """
    model, trusted = encoder.model, encoder.trust_remote_code
    with_job = _archive_of_job(model, spark)
    if with_job is not None:
        return with_job
    if has_scheme(model):
        return Provided(_fetched(model, spark, trusted))
    path = model_path(model)
    if path.is_file() and is_archive(path.name):
        return Provided(_unpacked(path))
    if is_hub_id(model):
        return Provided(hub_folder(model, encoder.revision, trusted=trusted))
    return Provided(find_folder(model))


def ship(spec: EncoderSpec, provided: Provided, spark: SparkSession) -> EncoderSpec:
    """Return ``spec`` with the name of the model on executors; outside local mode Spark carries it there, once.

    The model is shipped even where its folder may be on every machine. The driver cannot see that, and a worker prefers
    its own copy.
    """
    if is_local(spark):
        return spec
    if provided.with_job:
        return replace(spec, shipped=provided.with_job)
    name = f"encoder-{spec.encoder_id}"
    if not any(archive.endswith(f"#{name}") for archive in carried_archives(spark)):
        # In Spark's own folder, which lasts as long as the application: executors that start later fetch it, too.
        archive = Path(SparkFiles.getRootDirectory()).resolve() / f"{name}.tar"
        pack(Path(spec.path), archive, spec.trust_remote_code, loaded_files(Path(spec.path), spec))
        log.info("encoder: Spark carries the model to the executors, %.0f MB each", archive.stat().st_size / 1e6)
        carry_archive(spark, f"{archive.as_uri()}#{name}")
    return replace(spec, shipped=name)


def pack(folder: Path, archive: Path, trusted: bool, needed: Collection[str] = ()) -> None:
    """Write the files that loading needs into an uncompressed tar; the same content gives the same bytes.

    ``needed`` are files that no pattern of kept files may match.
    """
    with tarfile.open(archive, "w") as packed:
        for name in kept_files(folder, trusted, needed):
            # No owner, time or link: the hub's cache consists of links.
            member = tarfile.TarInfo(name)
            member.size = (folder / name).stat().st_size
            with (folder / name).open("rb") as file:
                packed.addfile(member, file)


def _archive_of_job(model: str, spark: SparkSession) -> Provided | None:
    """Return the model in an archive that came by `--archives FILE#NAME`; None where no archive has that name."""
    if "/" in model or model.startswith("."):
        return None
    root = Path(SparkFiles.getRootDirectory())
    archives = archives_by_name(*(property_of(spark, key) for key in ("spark.archives", "spark.yarn.dist.archives")))
    # YARN unpacks it in the working directory, and in client mode not on the driver.
    places = [place / model for place in (root, Path.cwd()) if (place / model).is_dir()] if model in archives else []
    places += [root / model] if (root / model).is_dir() else []
    if not places and model not in archives:
        return None
    unpacked = places[0].resolve() if places else _archive_root(archives[model], spark)
    folder = model_folder(unpacked)
    return Provided(folder, with_job=(PurePosixPath(model) / folder.relative_to(unpacked).as_posix()).as_posix())


def archives_by_name(*properties: str) -> dict[str, str]:
    """Return archives by the name under which Spark unpacks them, from properties such as `spark.archives`.

    >>> archives_by_name("hdfs:/m/e5.tgz#e5,/m/minilm.zip", "")
    {'e5': 'hdfs:/m/e5.tgz', 'minilm.zip': '/m/minilm.zip'}
    """
    given = [archive.strip().partition("#") for text in properties for archive in text.split(",") if archive.strip()]
    return {name or PurePosixPath(path).name: path for path, _, name in given}


def _archive_root(archive: str, spark: SparkSession) -> Path:
    if has_scheme(archive):
        return _fetched_root(archive, spark, trusted=False)
    return _unpacked_root(Path(archive))


def _fetched(address: str, spark: SparkSession, trusted: bool) -> Path:
    return model_folder(_fetched_root(address, spark, trusted))


def _unpacked(archive: Path) -> Path:
    return model_folder(_unpacked_root(archive))


def _unpacked_root(archive: Path) -> Path:
    """Return the folder of the cache with the content of an archive of this machine, unpacked where it is new."""
    return cached_folder(sha256_of(archive)[:32], lambda part: unpack(archive, part))


def _fetched_root(address: str, spark: SparkSession, trusted: bool) -> Path:
    """Return a copy of the folder, or of the unpacked archive, at an address of any scheme that Spark reads.

    Its key in the cache consists of place, names, sizes and times, so that a second run copies nothing.
    """
    files = FileSystem(spark)
    try:
        root, found = files.qualified(address), files.matches(address)
        if [status.path for status in found] == [root]:
            return _fetched_archive(files, found[0])
        return _fetched_folder(files, root, found, trusted)
    except JavaFailure as error:
        raise EncoderError(
            "the model cannot be read at its address",
            where=address,
            found=java_message(error).splitlines()[0][:300],
            expected="a folder or an archive of a model, at an address that Spark has the client and the rights for",
            action="check the address with the cluster's own tools; s3a:// needs hadoop-aws on the class path",
        ) from error


def _fetched_archive(files: FileSystem, status: FileStatus) -> Path:
    name = PurePosixPath(status.path).name
    if not is_archive(name):
        raise EncoderError(
            "the address of the model names a file that is not an archive",
            where="encoder.model",
            found=status.path,
            expected=f"a folder, or an archive: {', '.join(ARCHIVE_SUFFIXES)}",
            action="name the folder that holds the model",
        )

    def fill(part: Path) -> None:
        copy = part.with_name(f"{part.name}-{name}")
        try:
            files.copy_to_local(status.path, str(copy))
            unpack(copy, part)
        finally:
            copy.unlink(missing_ok=True)

    return cached_folder(_key([status]), fill)


def _fetched_folder(files: FileSystem, root: str, found: list[FileStatus], trusted: bool) -> Path:
    names = {status.path.removeprefix(f"{root}/"): status for status in found}
    kept = {name: status for name, status in names.items() if is_kept(name, trusted)}
    if not found:
        raise EncoderError(
            "there is nothing at the model's address",
            where="encoder.model",
            found=root,
            expected=SUPPORTED,
            action="check the address",
        )
    weights = {name: status for name, status in names.items() if name.endswith(".safetensors")}
    if not weights:
        raise no_weights(root, names)

    def copy(statuses: Mapping[str, FileStatus], part: Path) -> None:
        for name, status in statuses.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            files.copy_to_local(status.path, str(part / name))

    def fill(part: Path) -> None:
        copy(kept, part)
        # The copied modules.json says which folders have weights.
        patterns = weight_patterns(part)
        copy({n: s for n, s in weights.items() if n not in kept and any(fnmatchcase(n, p) for p in patterns)}, part)

    return cached_folder(_key(list((kept | weights).values())), fill)


def _key(found: list[FileStatus]) -> str:
    facts = "\n".join(f"{status.path} {status.n_bytes} {status.modified_ms}" for status in found)
    return hashlib.sha256(facts.encode()).hexdigest()[:32]
