"""Where models come from: a folder, or an installed package that carries one."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from recsys_spark.errors import EncoderError, nearest

SUPPORTED = "a folder with config.json, a tokenizer and safetensors weights, or an installed package that carries one"


def find_folder(model: str) -> Path:
    """The folder that ``encoder.model`` names: a path, else an installed distribution; raises EncoderError."""
    path = Path(model).expanduser()
    if "://" not in model and path.is_dir():
        return path.resolve()
    try:
        distribution = metadata.distribution(model)
    except (metadata.PackageNotFoundError, ValueError):
        raise _not_found(model, path) from None
    files = [Path(str(distribution.locate_file(file))) for file in distribution.files or ()]
    weighed = {file.parent for file in files if file.suffix == ".safetensors"}
    folders = sorted({file.parent for file in files if file.name == "config.json"} & weighed)
    if len(folders) != 1:
        raise EncoderError(
            f"the installed package {model} does not carry exactly one model",
            where="encoder.model",
            found=[str(folder) for folder in folders] or "no folder with config.json and safetensors weights",
            expected=SUPPORTED,
            action="name the model folder itself",
        )
    return folders[0].resolve()


def _not_found(model: str, path: Path) -> EncoderError:
    if "://" in model:
        return EncoderError(
            "models are not yet read from this kind of address",
            where="encoder.model",
            found=model,
            expected=SUPPORTED,
            action="copy the folder to a path that the driver and every worker can read",
        )
    looks_like_path = model.startswith(("/", ".", "~")) or path.exists() or (path.parent.is_dir() and "/" in model)
    hub_id = not looks_like_path and model.count("/") == 1
    siblings = [str(p) for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
    packages = {d.name for d in metadata.distributions()} if "/" not in model else set()
    like = nearest(model, [*siblings, *packages]) or nearest(str(path), siblings)
    hint = "download a hub model once, with save_pretrained or huggingface-cli, and name that folder"
    return EncoderError(
        "the encoder is neither a folder nor an installed package" + (", and hub ids are not loaded" if hub_id else ""),
        where="encoder.model",
        found=f"{model} (a file)" if path.is_file() else model,
        expected=SUPPORTED,
        action=f"did you mean {like}?" if like else hint if hub_id else "check the path or install the package",
    )
