"""The `[encoder]` section: the model that turns texts into vectors."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recsys_spark.config.base import Section


class Encoder(Section):
    """The text encoder: a model of the BERT, RoBERTa or XLM-R family, or a decoder made for embeddings."""

    model: Annotated[str, Field(min_length=1)]
    """Where the model is. One of: the [address](#addresses) of a folder or archive; the name of an archive shipped with
    the job (`--archives FILE#NAME`); an installed package that carries a model; a hub id `ORG/NAME`. A folder next to
    the configuration has `./` in front."""
    revision: str = ""
    """Version of a hub model: a commit (safest), a tag or a branch. It is also the version that `trust_remote_code`
    trusts."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Refused unless `revision` names the version that somebody has read;
    for a hub model that is a commit."""
    backend: Literal["auto", "int8", "torch-float32", "torch-bfloat16", "torch-float16"] = "auto"
    """What multiplies, and in which precision. `auto` takes the fastest that keeps the model's quality: half precision
    on a GPU; `int8` for BERT, RoBERTa and XLM-R on a CPU that has instructions for it; otherwise float32. `int8`
    computes on CPUs only."""
    pooling: Literal["auto", "mean", "cls", "last", "max", "mean_sqrt_len_tokens", "weightedmean"] = "auto"
    """How token vectors become one text vector. `auto` reads the model's sentence-transformers files; without them it
    takes the mean, or the last token for a decoder."""
    normalise: bool = True
    """Scale text vectors to length 1."""
    item_prefix: str = ""
    """Put in front of every item text, as models like E5 expect. If this key or `user_prefix` is set, also to an empty
    text, the model's own default prompt is not used."""
    user_prefix: str = ""
    """Put in front of every user text."""
    max_length: Annotated[int, Field(ge=8, le=8192)] = 128
    """Tokens read per text. The rest of the text is cut off. A lower limit of the model itself applies."""
    batch_tokens: Annotated[int, Field(ge=0)] = 0
    """Tokens per forward pass, padding included. 0 stands for 1,024 on a CPU, which fit into its cache, and 32,768 on a
    GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes the GPU that Spark assigned, or a free one in local mode, and otherwise the CPU. `cuda` fails
    without a GPU."""

    @model_validator(mode="after")
    def _trusted_code_has_a_version(self) -> Self:
        if self.trust_remote_code and not self.revision:
            raise ValueError("trust_remote_code = true needs revision: the version of the code that somebody has read")
        return self

    @model_validator(mode="after")
    def _int8_is_for_the_cpu(self) -> Self:
        if self.backend == "int8" and self.device == "cuda":
            raise ValueError('backend = "int8" computes on CPUs, but device is cuda: choose a torch backend for a GPU')
        return self
