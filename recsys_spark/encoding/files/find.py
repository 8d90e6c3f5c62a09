"""Models that are already on this machine: a folder, or an installed package that contains a model."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from recsys_spark.config.addresses import has_scheme
from recsys_spark.errors import EncoderError, nearest

WAYS = (
    "a folder with config.json, a tokenizer and safetensors weights, or an archive of one (.zip, .tar, .tar.gz, .tgz)",
    "the address of such a folder or archive: hdfs://..., s3a://...",
    "the name of an archive shipped with the job: --archives model.tar.gz#NAME",
    "an installed package that carries a model",
    "a hub id ORG/NAME, where the driver has network or the model is in its hub cache",
)
SUPPORTED = "\n            or ".join(WAYS)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def find_folder(model: str) -> Path:
    """Return the folder that ``encoder.model`` names: a path, else an installed distribution; raises EncoderError."""
    path = model_path(model)
    if not has_scheme(model) and path.is_dir():
        return path.resolve()
    try:
        distribution = metadata.distribution(model)
    except (metadata.PackageNotFoundError, ValueError):
        raise _not_found(model, path) from None
    files = [Path(str(distribution.locate_file(file))) for file in distribution.files or ()]
    weighed = {file.parent for file in files if file.suffix == ".safetensors"}
    models = {file.parent for file in files if file.name == "modules.json"}
    models |= {file.parent for file in files if file.name == "config.json"} & weighed
    # A layer of a model has weights as well.
    folders = sorted(folder for folder in models if not models & set(folder.parents))
    if len(folders) != 1:
        raise EncoderError(
            f"the installed package {model} does not carry exactly one model",
            where="encoder.model",
            found=[str(folder) for folder in folders] or "no folder with config.json and safetensors weights",
            expected=SUPPORTED,
            action="name the model folder itself",
        )
    return folders[0].resolve()


def model_path(model: str) -> Path:
    """Return ``encoder.model`` as a path, with the home folder for `~`; raises EncoderError."""
    try:
        return Path(model).expanduser()
    except RuntimeError as error:
        raise EncoderError(
            "the home folder of the model's path is not known",
            where="encoder.model",
            found=f"{model}: {error}",
            expected=SUPPORTED,
            action="write the whole path",
        ) from error


def is_hub_id(model: str) -> bool:
    """Return whether ``model`` can only mean a model of the hub.

    It is ORG/NAME, and neither that path nor the folder ORG exists.

    >>> is_hub_id("intfloat/multilingual-e5-small"), is_hub_id("/models/e5"), is_hub_id("a/b/c")
    (True, False, False)
    """
    path = Path(model)
    return bool(_HUB_ID.fullmatch(model)) and not path.exists() and not path.parent.is_dir()


def model_folder(root: Path) -> Path:
    """Return the folder of the model in an unpacked archive: ``root``, or a folder below that has no siblings."""
    folder = root
    while not any((folder / name).is_file() for name in ("config.json", "modules.json")):
        inner = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))]
        if len(inner) != 1:
            return root
        folder = inner[0]
    return folder


def _not_found(model: str, path: Path) -> EncoderError:
    siblings = [str(p) for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
    packages = {d.name for d in metadata.distributions()} if "/" not in model else set()
    like = nearest(model, [*siblings, *packages]) or nearest(str(path), siblings)
    return EncoderError(
        "the encoder is not on this machine: it is neither a folder nor an installed package",
        where="encoder.model",
        found=f"{model} (a file)" if path.is_file() else model,
        expected=SUPPORTED,
        action=f"did you mean {like}?" if like else "check the path or install the package",
    )
