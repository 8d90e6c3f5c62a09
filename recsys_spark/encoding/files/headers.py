"""Names, shapes and number types of the tensors in safetensors files, read without the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from recsys_spark.errors import EncoderError

FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True)
class Tensor:
    """What the header of a file says of one tensor."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def is_float(self) -> bool:
        """Whether its numbers can be computed with as they are; quantised weights cannot."""
        return self.dtype in FLOATS


def headers(*paths: Path) -> dict[str, Tensor]:
    """Return the tensors of safetensors files by name; raises EncoderError where a file is missing or cut off."""
    found: dict[str, Tensor] = {}
    for path in paths:
        try:
            with safe_open(path, framework="numpy") as tensors:
                for name in tensors.keys():  # noqa: SIM118
                    part = tensors.get_slice(name)
                    found[name] = Tensor(tuple(part.get_shape()), str(part.get_dtype()))
        except (OSError, SafetensorError) as error:
            raise EncoderError(
                f"the weights {path.name} are missing or cut off",
                where=str(path),
                found=error,
                expected="a complete safetensors file",
                action="copy the model folder again",
            ) from error
    return found
