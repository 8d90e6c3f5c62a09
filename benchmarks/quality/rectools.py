"""SASRec and BERT4Rec of RecTools on one world: how rows become its data set, the training, the vectors that come out.

It needs RecTools; sequences.py makes methods of it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import BERT4RecModel, SASRecModel
from rectools.models.nn.transformers.base import TransformerModelBase
from rectools.models.nn.transformers.lightning import TransformerLightningModule

from benchmarks.quality.data import World
from benchmarks.quality.methods import Settings
from recsys_spark.numerics.arrays import F32, I64

MODELS: dict[str, type[TransformerModelBase]] = {"SASRec": SASRecModel, "BERT4Rec": BERT4RecModel}
SESSION, BLOCKS, HEADS = 50, 2, 2
USERS_AT_ONCE = 512


class AskedOnly(TransformerLightningModule):
    """RecTools' softmax loss over the whole catalogue, computed only at the positions that have a next item.

    RecTools computes the logits of padding, too, and drops them: five sixths of the work on histories of nine items.
    """

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        target = batch["y"]
        items, asked = self.torch_model.item_model.get_all_embeddings(), target > 0
        sessions = self.torch_model.encode_sessions(batch, items)[asked]
        logits = self.torch_model.similarity_module(sessions, items)
        # A batch in which no item was masked has nothing to say; its mean would be 0 / 0.
        n_asked = max(1, int(asked.sum()))
        return torch.nn.functional.cross_entropy(logits, target[asked], reduction="sum") / n_asked


def train(name: str, world: World, settings: Settings, batch: int, n_threads: int) -> TransformerModelBase:
    """Return a model fitted by `updates` steps of Adam over batches of ``batch`` users.

    The same world and threads give the same model.
    """
    torch.set_num_threads(n_threads)
    with quiet():
        seed_everything(0, verbose=False)
        model = MODELS[name](
            n_blocks=BLOCKS,
            n_heads=HEADS,
            n_factors=settings["width"],
            dropout_rate=settings["dropout"],
            session_max_len=SESSION,
            loss="softmax",
            batch_size=batch,
            lightning_module_type=AskedOnly,
            get_trainer_func=trainer,
            get_trainer_func_kwargs={"updates": settings["updates"]},
            recommend_torch_device="cpu",
            **({"mask_prob": settings["masked"]} if "masked" in settings else {}),
        )
        model.fit(data_set(world))
    return model


def trainer(updates: int) -> Trainer:
    """Return a trainer of ``updates`` steps on CPUs that writes nothing."""
    return Trainer(
        max_steps=updates,
        max_epochs=-1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def data_set(world: World) -> Dataset:
    """Return each (user, item) once, at its latest row; equal times by item id."""
    return Dataset.construct(in_order(world))


def in_order(world: World) -> pd.DataFrame:
    """Return the columns of RecTools; a row's time is its place by time and item, because only the order matters."""
    rows = world.rows
    order = np.lexsort((rows.item, rows.time))
    table = pd.DataFrame(
        {
            Columns.User: rows.user[order],
            Columns.Item: rows.item[order],
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(np.arange(len(order)), unit="s"),
        }
    )
    return table.drop_duplicates([Columns.User, Columns.Item], keep="last", ignore_index=True)


def vectors(model: TransformerModelBase, world: World) -> tuple[I64, F32, I64, F32]:
    """Return users that the model knows an item of, their sessions [n, width], its items, and their vectors [m, width].

    The product is the logit, by which RecTools' own `recommend` orders.
    """
    everything, network = data_set(world), model.torch_model.eval()
    sessions = []
    with torch.no_grad(), quiet():
        known = model.data_preparator.transform_dataset_u2i(everything, everything.user_id_map.external_ids)
        items = network.item_model.get_all_embeddings()
        for batch in model.data_preparator.get_dataloader_recommend(known, USERS_AT_ONCE):
            sessions.append(network.encode_sessions(batch, items)[:, -1].numpy())
    return (
        np.asarray(known.user_id_map.external_ids, np.int64),
        np.concatenate(sessions),
        np.asarray(model.data_preparator.get_known_item_ids(), np.int64),
        items[model.data_preparator.n_item_extra_tokens :].numpy(),
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what Lightning says of every trainer and loader."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
