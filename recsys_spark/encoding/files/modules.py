"""The modules of a model, as modules.json lists them: a transformer, a pooling, and layers after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from recsys_spark.encoding.files.checks import read_list
from recsys_spark.encoding.kernels.layers import DENSE, LAYER_NORM, NORMALIZE
from recsys_spark.errors import EncoderError

MODULES = "modules.json"
LIBRARY = "sentence_transformers."
TRANSFORMER, POOLING, DROPOUT = "Transformer", "Pooling", "Dropout"
AFTER_POOLING = (DENSE, LAYER_NORM, NORMALIZE, DROPOUT)
"""Kinds that may stand after pooling. Dropout does nothing outside of training."""
BUILT = "a Transformer, then a Pooling, then any of " + ", ".join(AFTER_POOLING)


@dataclass(frozen=True)
class Modules:
    """Where the parts of a model lie, relative to its folder."""

    root: str = ""
    """The folder of the transformer: weights, config.json and tokenizer. Old models have `0_Transformer`."""
    pooling: str | None = None
    """The folder of the pooling; None where the model names none."""
    layers: tuple[tuple[str, str], ...] = ()
    """(kind, folder) of each layer after pooling, without Dropout."""
    listed: bool = False
    """Whether the folder has a modules.json. Only then sentence-transformers reads its other files, too."""

    def at_root(self, name: str) -> str:
        """Return the name of a file of the transformer, relative to the model's folder.

        >>> Modules().at_root("config.json"), Modules("0_Transformer").at_root("config.json")
        ('config.json', '0_Transformer/config.json')
        """
        return f"{self.root}/{name}" if self.root else name


def read_modules(folder: Path) -> Modules:
    """Return the modules of the model in ``folder``; raises EncoderError where one of them is not supported.

    A folder without modules.json is a bare transformer.
    """
    path = folder / MODULES
    if not path.is_file():
        return Modules()
    entries = [(_kind(path, entry), _folder_of(path, entry)) for entry in read_list(path)]
    kinds = [kind for kind, _ in entries]
    pooled = kinds.index(POOLING) if POOLING in kinds else len(kinds[:1])
    before, after = entries[1:pooled], entries[pooled + (POOLING in kinds) :]
    strange = before + [entry for entry in after if entry[0] not in AFTER_POOLING]
    if kinds[:1] != [TRANSFORMER]:
        strange = entries[:1] or [("no module", "")]
    if strange:
        raise EncoderError(
            f"the model has a module that is not supported here: {strange[0][0]}",
            where=str(path),
            found=", ".join(f"{kind} ({where or 'the folder itself'})" for kind, where in entries) or "an empty list",
            expected=BUILT,
            action="choose a model that is built so; to distil this one into such a model, train one with "
            "sentence-transformers and save it",
        )
    return Modules(
        root=entries[0][1],
        pooling=entries[pooled][1] if POOLING in kinds else None,
        layers=tuple(entry for entry in after if entry[0] != DROPOUT),
        listed=True,
    )


def transformer_folder(folder: Path) -> Path:
    """Return the folder of the transformer's files; raises EncoderError where a module is not supported."""
    return folder / read_modules(folder).root


def weight_patterns(folder: Path) -> list[str]:
    """Return patterns of weights below the model's folder that its modules name; none where they are not supported."""
    try:
        modules = read_modules(folder)
    except EncoderError:
        return []
    return [f"{path}/*.safetensors" for path in (modules.root, *(path for kind, path in modules.layers)) if path]


def _kind(path: Path, entry: dict[str, Any]) -> str:
    """Return the class of a module; raises EncoderError where it is not one of sentence-transformers itself.

    A module of the model's own runs Python code of the model, which `trust_remote_code` does not cover: only
    sentence-transformers could run it.
    """
    kind = str(entry.get("type", ""))
    if not kind.startswith(LIBRARY):
        raise EncoderError(
            "the model has a module of its own, whose code is not run here",
            where=str(path),
            found=f"{kind or 'no type'} in {entry.get('path') or 'the folder itself'}",
            expected=f"modules of sentence-transformers: {BUILT}",
            action="choose a model whose modules.json names only types of sentence_transformers",
        )
    return kind.rsplit(".", 1)[-1]


def _folder_of(path: Path, entry: dict[str, Any]) -> str:
    """Return the folder of a module; raises EncoderError where it does not lie in the model's folder."""
    name = entry.get("path")
    parts = PurePosixPath(name).parts if isinstance(name, str) else ("..",)
    if ".." in parts or "\\" in str(name) or PurePosixPath(str(name)).is_absolute():
        raise EncoderError(
            f"{path.name} of the model names a folder that is not in the model's folder",
            where=str(path),
            found=f"path {name!r} of {entry.get('type')}",
            expected="a relative path such as 1_Pooling, or an empty path for the folder itself",
            action="copy the model folder again from where you trust it",
        )
    return "/".join(part for part in parts if part != ".")
