"""The `[model]` and `[mlflow]` sections: the towers with their training, and where a training is recorded."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recsys_spark.config.base import Count, NonNegative, Positive, Section, Share


class Model(Section):
    """The user tower, the item tower and their training."""

    width: Count = 64
    """d: width of user and item vectors."""
    n_layers: Annotated[int, Field(ge=1, le=8)] = 2
    """Transformer layers over the history."""
    n_heads: Count = 2
    """Attention heads; must divide `width`."""
    dropout: Share = 0.3
    """Dropout in the history encoder."""
    id_dropout: Share = 0.3
    """Share of items whose learned id part and links are hidden in a step. It keeps text alone good enough for cold
    items."""
    epochs: Count = 12
    """Largest number of passes over the training histories."""
    trial_epochs: Annotated[int, Field(ge=0)] = 6
    """Passes of a trial run that does not see the newest behaviours. The trial uses those behaviours to choose how much
    links and the cosine count, the temperature at which P is true, and how far cold items are pushed. 0: there is no
    trial (unless `patience` asks for one), and these take their usual values."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Above 0, the trial run chooses the number of passes: it makes up to `epochs` of them, whatever `trial_epochs`
    says, and ends after this many passes that are worse on the newest behaviours by more than two standard errors.
    Training then makes as many passes as were good. 0: training makes `epochs` passes, whatever the trial finds."""
    cold_item_cost: Share = 0.005
    """Share of the trial run's ndcg that may be given up to show cold items. 0 shows them only where they cost
    nothing."""
    batch_positions: Count = 2048
    """History positions per step."""
    learning_rate: Positive = 2e-3
    """Peak learning rate of AdamW, with linear warm-up and cosine decay."""
    weight_decay: NonNegative = 0.01
    """Weight decay of AdamW."""
    bce_weight: NonNegative = 0.1
    """Weight of the cosine's binary cross-entropy, which is added to the softmax cross-entropy."""
    n_negatives: Count = 64
    """Sampled negatives per step for the binary cross-entropy."""
    target_window: Count = 3
    """A position of a history learns to predict one of this many behaviours after it, drawn again in each epoch."""
    max_softmax_items: Count = 50_000
    """With more target items than this, training samples its negatives: half by popularity and half from the batch,
    with log-Q correction. Scoring never samples."""
    linked_items: Annotated[int, Field(ge=0)] = 16_384
    """Number of most chosen items that have links to one another: full-rank weights of what was chosen together.
    Training holds 4 bytes per pair of them. 0: no links."""
    link_penalty: Positive = 100.0
    """Ridge penalty of the links, in users. A larger penalty weakens the links of items that few users chose."""
    n_sampled: Count = 4096
    """Items drawn per step where the softmax is sampled."""
    max_training_users: Count = 2_000_000
    """With more users than this, training takes those with the smallest hash of their id. All users are served."""
    checkpoint_steps: Annotated[int, Field(ge=0)] = 500
    """Training writes its state to the store each time it has made this many steps, and continues from there after it
    was killed. 0: never. Executors must reach the store by a path, or by an address that pyarrow knows."""
    warm_epochs: Annotated[int, Field(ge=0)] = 0
    """Above 0, training starts from the newest model of an earlier run date in the store. It makes this many passes at
    half the learning rate, without a trial: what the earlier model chose stays. 0: training starts from scratch, as it
    always does in a backtest."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where training computes; the values mean the same as those of `encoder.device`."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """Precision of the user tower's products in training. `bfloat16` is mixed precision: everything else stays float32.
    `auto` chooses it on GPUs that support it. Lists are never computed in it."""
    processes: Count = 1
    """Number of tasks that train one model together in a barrier stage, each on users of its own. Spark must be able to
    run this many tasks at once, without dynamic allocation of executors. Each task holds the catalogue and the links.
    Several tasks compute on CPUs."""
    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads of each training task. 0 divides the cores of an executor among its tasks."""

    @model_validator(mode="after")
    def _several_tasks_are_for_cpus(self) -> Self:
        if self.processes > 1 and self.device == "cuda":
            raise ValueError(
                f"processes = {self.processes} compute on CPUs only, but device is cuda: a GPU takes one process"
            )
        return self

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.n_heads:
            raise ValueError(f"n_heads = {self.n_heads} does not divide width = {self.width}")
        return self


class Mlflow(Section):
    """Where trainings and backtests are recorded; needs the extra `mlflow`. No list depends on it, and it reruns no
    stage."""

    tracking_uri: str = ""
    """Address of an MLflow tracking server (`http(s)://`), or a database such as `sqlite:////data/mlflow.db`. The file
    of `sqlite:///mlflow.db` is next to the configuration. Empty: nothing is recorded."""
    experiment: Annotated[str, Field(min_length=1)] = "recsys-spark"
    """Experiment that holds the runs, one for each model. It is created where it does not exist."""
    artifact_location: str = ""
    """[Address](#addresses) at which a new experiment keeps its files. Empty: the server chooses; for SQLite it is the
    folder `mlartifacts` next to the database."""
