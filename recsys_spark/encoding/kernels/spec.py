"""The record of an encoder on which driver and workers agree."""

from __future__ import annotations

from dataclasses import dataclass

from recsys_spark.encoding.kernels.backends import FLOAT32


@dataclass(frozen=True)
class EncoderSpec:
    """What a worker needs to load the encoder. ``encoder_id`` is a fingerprint of all that a vector depends on."""

    model: str
    path: str
    """The model's folder on the driver."""
    encoder_id: str
    width: int
    pooling: str
    max_length: int
    batch_tokens: int
    device: str
    item_prefix: str = ""
    user_prefix: str = ""
    backend: str = FLOAT32
    normalise: bool = True
    trust_remote_code: bool = False
    shipped: str = ""
    """Where an executor has the model, below its `SparkFiles` folder; empty where Spark carries none."""

    @property
    def settings(self) -> tuple[str | int | bool, ...]:
        """The settings that a vector depends on, besides the model's files."""
        return (self.pooling, self.max_length, self.item_prefix, self.user_prefix, self.normalise, self.backend)
