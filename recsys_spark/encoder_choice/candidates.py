"""The encoders that `recsys-spark encoders` compares: those of `--candidates`, or all on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, get_args

from recsys_spark.config.address_kinds import MODEL
from recsys_spark.config.addresses import address, local_path
from recsys_spark.config.encoder import Encoder
from recsys_spark.config.file import parse_config, place
from recsys_spark.config.sections import Config
from recsys_spark.config.toml_file import read_toml
from recsys_spark.encoding.files.find import find_folder
from recsys_spark.errors import ConfigError, EncoderError, nearest

OF_A_MODEL = ("revision", "trust_remote_code", "pooling", "item_prefix", "user_prefix")
"""Keys of [encoder] that belong to one model; a candidate with another model starts from their defaults."""
SECTION = "encoder"


def backends() -> list[str]:
    """Return the values of `encoder.backend` besides `auto`."""
    return [name for name in get_args(Encoder.model_fields["backend"].annotation) if name != "auto"]


def read_candidates(text: str | None, cfg: Config) -> list[Encoder]:
    """Return the candidates that ``--candidates`` names, each once; raises ConfigError.

    ``text`` is a file `*.toml` with [[encoder]] sections, or a list of MODEL[@BACKEND] with commas. Without it,
    candidates are the configured model with every backend, then installed packages that contain a model. Keys that a
    candidate does not set are those of ``cfg.encoder``, except OF_A_MODEL for another model.
    """
    if text is None:
        found = list(_under_every_backend(cfg))
        found += [laid_over(cfg, {"model": name}) for name in packages_with_a_model(cfg.encoder.model)]
    elif text.endswith(".toml"):
        found = _of_file(text, cfg)
    else:
        found = [laid_over(cfg, _placed(_of_word(word.strip()))) for word in text.split(",") if word.strip()]
    if not found:
        raise ConfigError(
            "There is no candidate",
            where="--candidates",
            found=text,
            expected="MODEL[@BACKEND],... or a file .toml with [[encoder]] sections",
            action="Name a model, or leave --candidates out.",
        )
    return list(dict.fromkeys(found))


def _under_every_backend(cfg: Config) -> Iterator[Encoder]:
    for name in backends():
        # The configuration refuses a backend that does not fit the device.
        with suppress(ConfigError):
            yield laid_over(cfg, {"backend": name})


def laid_over(cfg: Config, given: dict[str, Any], where: str = "--candidates") -> Encoder:
    """Return the candidate with the keys of [encoder] that are ``given``; raises ConfigError."""
    # A prefix that is not set leaves the model its own prompt, which one that is set to nothing does not.
    base = cfg.encoder.model_dump(exclude_unset=True)
    if given.get("model", base["model"]) != base["model"]:
        base = {key: value for key, value in base.items() if key not in OF_A_MODEL}
    return parse_config(cfg.model_dump() | {SECTION: base | given}, where=where).encoder


def _of_word(word: str) -> dict[str, Any]:
    """Return the keys of [encoder] for `MODEL[@BACKEND]`; raises ConfigError.

    >>> _of_word("/models/e5@torch-bfloat16")
    {'model': '/models/e5', 'backend': 'torch-bfloat16'}
    >>> _of_word("abfss://models@account.dfs.core.windows.net/e5")
    {'model': 'abfss://models@account.dfs.core.windows.net/e5'}
    """
    model, sign, backend = word.rpartition("@")
    # The @ of an address or of a folder is followed by a path.
    if not sign or "/" in backend or Path(word).is_dir():
        return {"model": word}
    if not model or backend not in ("auto", *backends()):
        close = nearest(backend, backends())
        raise ConfigError(
            f"There is no backend `{backend}`",
            where="--candidates",
            found=word,
            expected=f"MODEL@ and one of {', '.join(backends())}",
            action=f"Did you mean {model}@{close}?" if close else "Correct it, or leave @BACKEND out.",
        )
    return {"model": model, "backend": backend}


def _placed(keys: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of a word with the model's address; a relative one starts at the working directory."""
    model = address(keys["model"], Path.cwd(), MODEL, key="--candidates", where="command line")
    return keys | {"model": model}


def _of_file(path: str, cfg: Config) -> list[Encoder]:
    content = read_toml(path, what="file of candidates", option="--candidates")
    sections = content.get(SECTION)
    if set(content) != {SECTION} or not isinstance(sections, list) or not all(isinstance(s, dict) for s in sections):
        raise ConfigError(
            "The file of candidates contains something other than [[encoder]] sections",
            where=path,
            found=", ".join(content) or "nothing",
            expected="one [[encoder]] section per candidate, with the keys of [encoder]",
            action="Write [[encoder]] above each candidate's keys.",
        )
    folder = local_path(path, option="--candidates").resolve().parent
    return [
        laid_over(cfg, place({SECTION: section}, folder, path)[SECTION], where=f"{path}, [[encoder]] {number}")
        for number, section in enumerate(sections, 1)
    ]


def packages_with_a_model(configured: str) -> list[str]:
    """Return the sorted names of installed distributions with a model, without the ``configured`` model."""
    seen = {_folder(configured)}
    names = []
    for name in sorted({d.name for d in metadata.distributions() if _carries_weights(d.files or ())}):
        folder = _folder(name)
        if folder is not None and folder not in seen:
            seen.add(folder)
            names.append(name)
    return names


def _carries_weights(files: Iterable[metadata.PackagePath]) -> bool:
    return any(file.suffix == ".safetensors" for file in files)


def _folder(model: str) -> Path | None:
    try:
        return find_folder(model)
    except EncoderError:
        return None


def labels(candidates: Sequence[Encoder]) -> list[str]:
    """Return a short name for each, all different: `MODEL@BACKEND` and the keys in which equal names differ.

    >>> x = [Encoder(model="x", backend="torch-float32", max_length=n) for n in (64, 128)]
    >>> labels([Encoder(model="/m/e5"), *x])
    ['e5', 'x@torch-float32 max_length=64', 'x@torch-float32 max_length=128']
    """
    short = [Path(c.model).name + ("" if c.backend == "auto" else f"@{c.backend}") for c in candidates]
    several = Counter(short)
    made = []
    for candidate, name in zip(candidates, short, strict=True):
        group = [other for other, same in zip(candidates, short, strict=True) if same == name]
        differing = [k for k in Encoder.model_fields if len({getattr(other, k) for other in group}) > 1]
        keys = [f" {key}={getattr(candidate, key)}" for key in differing] if several[name] > 1 else []
        made.append(name + "".join(keys))
    return made
