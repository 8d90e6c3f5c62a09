"""How a model turns token vectors into a text vector, as its sentence-transformers files say."""

from __future__ import annotations

from pathlib import Path

from recsys_spark.encoding.files.checks import read_json, read_list
from recsys_spark.errors import EncoderError

SPELT = {"lasttoken": "last"}
"""Our word for a mode of sentence-transformers, where it is another."""
SUPPORTED = ("mean", "cls", "last")


def read_pooling(folder: Path, *, prefixed: bool = False) -> str:
    """`mean`, `cls` or `last` as the model's files say, mean where it has none; raises EncoderError.

    ``prefixed`` says that texts get a prefix: some models leave the prefix out of the mean, which is not done here.
    """
    modules = read_list(folder / "modules.json") if (folder / "modules.json").is_file() else []
    kinds = {str(module.get("type", "")).rsplit(".", 1)[-1]: str(module.get("path", "")) for module in modules}
    path = folder / kinds.get("Pooling", "1_Pooling") / "config.json"
    modes: list[str] = ["mean"]
    strange = sorted(set(kinds) - {"Transformer", "Pooling", "Normalize", "Dropout"})
    if path.is_file():
        pooling = read_json(path)
        stated = pooling.get("pooling_mode")
        old = [
            key.removeprefix("pooling_mode_") for key, on in pooling.items() if key.startswith("pooling_mode_") and on
        ]
        modes = [stated] if isinstance(stated, str) else stated or [mode.split("_tok")[0] for mode in old] or modes
        modes = [SPELT.get(str(mode), str(mode)) for mode in modes]
        if prefixed and pooling.get("include_prompt") is False and modes == ["mean"]:
            strange.append("a mean without the prefix (include_prompt false)")
    if strange or len(modes) != 1 or modes[0] not in SUPPORTED:
        raise EncoderError(
            "the model turns token vectors into a text vector in a way that is not supported",
            where=str(path),
            found=", ".join(strange or modes),
            expected="mean, cls or last-token pooling and no layer after it",
            action='set encoder.pooling = "mean", "cls" or "last" to use the encoder that way all the same',
        )
    return modes[0]
