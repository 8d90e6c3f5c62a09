"""The `[encoder]`, `[model]` and `[mlflow]` sections: the text encoder, the towers with their training, and its record."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recsys_spark.config.base import Count, NonNegative, Positive, Section, Share


class Encoder(Section):
    """The text encoder: BERT, RoBERTa, XLM-R and their kin, or a decoder that embeds."""

    model: Annotated[str, Field(min_length=1)]
    """A folder or archive of a model, on the driver or at an address (`hdfs://`, `s3a://`); the name of an archive shipped
    with the job (`--archives FILE#NAME`); an installed package that carries a model; or a hub id `ORG/NAME`."""
    revision: str = ""
    """Version of a hub model: a commit (safest), tag or branch. Also what `trust_remote_code` vouches for."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model; refused unless `revision` names the version that was read, for a hub
    model its commit."""
    backend: Literal["auto", "int8", "torch-float32", "torch-bfloat16", "torch-float16"] = "auto"
    """What multiplies, in which precision. `auto` is the fastest that keeps the model's quality: on a GPU half precision; on a CPU
    with instructions for it `int8` for BERT, RoBERTa and XLM-R; else float32. `int8` computes on the CPU only."""
    pooling: Literal["auto", "mean", "cls", "last"] = "auto"
    """How token vectors become a text vector; `auto` reads the model's sentence-transformers files, else mean."""
    normalise: bool = True
    """Scale text vectors to length 1."""
    item_prefix: str = ""
    """Put before every item text, as E5-like models expect."""
    user_prefix: str = ""
    """Put before every user text."""
    max_length: Annotated[int, Field(ge=8, le=8192)] = 128
    """Tokens read per text; the rest is cut."""
    batch_tokens: Annotated[int, Field(ge=0)] = 0
    """Tokens per forward pass, padding included; 0 is 1,024 on a CPU, which stay in its cache, and 32,768 on a GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes the GPU that Spark assigned, in local mode a free one, else the CPU; `cuda` fails without a GPU."""

    @model_validator(mode="after")
    def _trusted_code_has_a_version(self) -> Self:
        if self.trust_remote_code and not self.revision:
            raise ValueError("trust_remote_code = true needs revision: the version of the code that somebody has read")
        return self

    @model_validator(mode="after")
    def _int8_is_for_the_cpu(self) -> Self:
        if self.backend == "int8" and self.device == "cuda":
            raise ValueError('backend = "int8" computes on the CPU, and device is cuda: take a torch backend for a GPU')
        return self


class Model(Section):
    """User and item towers and their training."""

    width: Count = 64
    """d: width of user and item vectors."""
    n_layers: Annotated[int, Field(ge=1, le=8)] = 2
    """Transformer layers over the history."""
    n_heads: Count = 2
    """Attention heads; must divide `width`."""
    dropout: Share = 0.3
    """Dropout in the history encoder."""
    id_dropout: Share = 0.3
    """Share of items whose learned id part and links are hidden in a step, so that text alone stays good (the cold-item path)."""
    epochs: Count = 12
    """Passes over the training histories, at most."""
    trial_epochs: Annotated[int, Field(ge=0)] = 6
    """Passes of a trial run that is not shown the newest behaviours; on those it is chosen how far links and the cosine count, at which temperature P is true, and how far cold items are pushed. 0: no trial (unless `patience` asks for one), and the usual values."""
    patience: Annotated[int, Field(ge=0)] = 0
    """With it the trial run takes up to `epochs` passes, whatever `trial_epochs` says, and ends after so many that are worse on those behaviours by more than two standard errors, and training takes as many as were good; 0 trains `epochs` passes whatever the trial finds."""
    cold_item_cost: Share = 0.005
    """Share of the trial run's ndcg that may be given up so that cold items are shown; 0 shows them where they cost nothing."""
    batch_positions: Count = 2048
    """History positions per step."""
    learning_rate: Positive = 2e-3
    """Peak learning rate of AdamW; linear warm-up, cosine decay."""
    weight_decay: NonNegative = 0.01
    """AdamW weight decay."""
    bce_weight: NonNegative = 0.1
    """Weight of the cosine's binary cross-entropy beside the softmax cross-entropy."""
    n_negatives: Count = 64
    """Sampled negatives per step for the binary cross-entropy."""
    target_window: Count = 3
    """A position of a history learns to predict one of so many behaviours after it, drawn anew each epoch."""
    max_softmax_items: Count = 50_000
    """With more items that are targets than this, training draws negatives, half by popularity and half from the batch, with log-Q correction; scoring never does."""
    linked_items: Annotated[int, Field(ge=0)] = 16_384
    """How many of the most chosen items have links to one another: full-rank weights of what was chosen together. 0: none. Training holds 4 bytes per pair of them."""
    link_penalty: Positive = 100.0
    """Ridge penalty of the links, in users: with more, links of items that few chose are weaker."""
    n_sampled: Count = 4096
    """Items drawn per step where the softmax is sampled."""
    max_training_users: Count = 2_000_000
    """With more users than this, training takes those with the smallest hash of their id; all of them are served."""
    checkpoint_steps: Annotated[int, Field(ge=0)] = 500
    """Training writes its state to the store after so many steps each, and goes on there when it was killed; 0: never. Executors must reach the store by a path, or by an address that pyarrow knows."""
    warm_epochs: Annotated[int, Field(ge=0)] = 0
    """Above 0 training starts from the newest model of an earlier run date in the store, takes so many passes, half the learning rate and no trial: what that model chose stays. 0 trains from scratch. A backtest always does."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where training computes; as `encoder.device`."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """Of the user tower's products in training. `bfloat16` is mixed precision, all else stays float32; `auto` takes it on GPUs that have it. Lists are never computed in it."""
    processes: Count = 1
    """Tasks that train one model together, each on users of its own, in a barrier stage: Spark must be able to run so many at once, and may not allocate executors dynamically. Each holds the catalogue and the links. Above 1 they compute on CPUs."""
    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads of each training task; 0 shares out the cores of an executor."""

    @model_validator(mode="after")
    def _several_tasks_are_for_cpus(self) -> Self:
        if self.processes > 1 and self.device == "cuda":
            raise ValueError(
                f"processes = {self.processes} compute on CPUs only, and device is cuda: one task is for a GPU"
            )
        return self

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.n_heads:
            raise ValueError(f"n_heads = {self.n_heads} does not divide width = {self.width}")
        return self


class Mlflow(Section):
    """Where trainings and backtests are recorded, by the extra `mlflow`. No list depends on it, and no stage runs again for it."""

    tracking_uri: str = ""
    """The `http(s)://` address of an MLflow tracking server, or a database such as `sqlite:////data/mlflow.db`; empty: nothing is recorded."""
    experiment: Annotated[str, Field(min_length=1)] = "recsys-spark"
    """The experiment that holds the runs, one for each model; made where there is none."""
    artifact_location: str = ""
    """Where a new experiment keeps its files; empty: the server's choice, and for SQLite the folder `mlartifacts` beside the database."""
