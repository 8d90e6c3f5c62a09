"""The record of an encoder on which driver and workers agree."""

from __future__ import annotations

from dataclasses import dataclass, fields

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

    root: str = ""
    """The folder of the transformer in the model's folder; empty where it is the same."""
    prompt: str = ""
    """The model's default prompt, put before every text; empty where the configuration sets prefixes."""
    include_prompt: bool = True
    """Whether the tokens of a prompt or prefix count in the pooling."""
    tokenizer: str = ""
    """Fingerprint of the tokenizer where it is not what tokenizer.json says."""
    lower_case: bool = False
    """Whether texts are lower-cased before the tokenizer's own steps."""
    cut: str = "right"
    """The end at which long texts are cut."""
    layers: str = ""
    """What follows the pooling: `layers.dump`."""

    @property
    def settings(self) -> tuple[str | int | bool, ...]:
        """The settings that a vector depends on, besides the model's files.

        Settings of few models are named where they apply. So all other models keep the fingerprint that they had.
        """
        rare = (field for field in fields(self) if field.name in RARE and getattr(self, field.name) != field.default)
        named = (value for field in rare for value in (field.name, getattr(self, field.name)))
        common = (self.pooling, self.max_length, self.item_prefix, self.user_prefix, self.normalise, self.backend)
        return (*common, *named)


RARE = ("prompt", "include_prompt", "tokenizer", "lower_case", "cut", "layers")
