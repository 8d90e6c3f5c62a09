"""Vectors are those of sentence-transformers, for every model folder that is accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.files.load import load_encoder
from recsys_spark.encoding.kernels.pooling import POOLINGS
from recsys_spark.numerics.arrays import F32
from tests.encoding import saved_models as m
from tests.tiny_encoder import WIDTH, tiny_encoder

TEXTS = [
    *("Red Cotton DRESS", "a lamp of wool", "", "jazz album of the rock & comedy", "购买 浏览 COTTON"),
    *("x y z " * 60, "naïve É [MASK] lamp", "blue", "space horror game course " * 9),
]
NEAR = 1e-5
MODES = [pooling.mode for pooling in POOLINGS.values()]

READING: dict[str, m.Change] = {
    "bare": lambda _: None,
    "bare decoder": m.keys("config.json", architectures=["OwnForCausalLM"]),
    "new layout": m.saved(m.new_layout),
    "old layout": m.saved(m.old_layout, pooling="cls"),
    "lower case asked for": m.saved(m.cased, m.bert(do_lower_case=True)),
    "lower case in the old layout": m.saved(m.cased, m.bert(do_lower_case=True), m.old_layout),
    "lower case in an older file": m.saved(
        m.cased, m.without("sentence_bert_config.json"), m.keys("sentence_roberta_config.json", do_lower_case=True)
    ),
    "cased vocabulary": m.saved(m.cased),
    "vocabulary only": m.saved(m.without("tokenizer.json", "tokenizer_config.json")),
    "cased by tokenizer_config.json": m.saved(m.tokens(do_lower_case=False)),
    "accents kept by tokenizer_config.json": m.saved(m.tokens(strip_accents=False)),
    "tokenizer.json as it is": m.saved(m.in_tokenizer(lambda _: None)),
    "an added token": m.saved(m.room_for_a_token, m.in_tokenizer(lambda c: c["added_tokens"].append(m.added(6868)))),
    "added_tokens.json": m.saved(m.room_for_a_token, m.keys("added_tokens.json", lamp=6868)),
    "special_tokens_map.json": m.saved(
        m.room_for_a_token, m.keys("special_tokens_map.json", additional_special_tokens=["lamp"])
    ),
    "max_seq_length": m.saved(m.bert(max_seq_length=8)),
    "model_max_length": m.saved(m.without("sentence_bert_config.json"), m.tokens(model_max_length=9)),
    "the first file that says something": m.saved(
        m.without("sentence_bert_config.json"),
        m.keys("sentence_bert_config.json"),
        m.keys("sentence_roberta_config.json", max_seq_length=8),
    ),
    "no limit": m.saved(m.bert(max_seq_length=None), m.tokens(model_max_length=1e30)),
    "tokenizer_args": m.saved(m.bert(tokenizer_args={"model_max_length": 7, "trust_remote_code": True})),
    "cut at the left": m.saved(m.bert(max_seq_length=8), m.tokens(truncation_side="left")),
    "default prompt": m.saved(m.prompt("game of: ")),
    "default prompt, cut": m.saved(m.prompt("game of: "), m.bert(max_seq_length=9)),
    "default prompt, lower case": m.saved(m.prompt("GAME of: "), m.cased, m.bert(do_lower_case=True)),
    "an empty default prompt": m.saved(m.prompt("")),
    "prompts, none by default": m.saved(m.prompts(prompts={"query": "query: "}, default_prompt_name=None)),
    "sharded": m.saved(m.sharded),
    "with a head": m.saved(m.renamed(lambda name: f"bert.{name}")),
    "old names": m.saved(m.renamed(lambda n: n.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"))),
    "half precision": m.saved(m.weights(lambda t: {n: v.astype(np.float16) for n, v in t.items()})),
    "roberta": m.saved(m.network("roberta")),
    "mpnet": m.saved(m.network("mpnet", pad_token_id=1)),
    "distilbert": m.saved(m.network("distilbert", dim=WIDTH, n_layers=2, n_heads=4, hidden_dim=64)),
    "a decoder": m.saved(m.network("qwen3", head_dim=8, num_key_value_heads=2), pooling="lasttoken"),
}
DENSE = ("Dense",)
LAYERS: dict[str, m.Change] = {
    **{f"{mode}": m.saved(pooling=mode) for mode in MODES},
    **{
        f"{mode} without the prompt": m.saved(
            m.keys("1_Pooling/config.json", include_prompt=False), m.prompt("game of: "), pooling=mode
        )
        for mode in MODES
    },
    "joined": m.saved(pooling=["mean", "cls", "max"]),
    "flags": m.saved(
        m.without("1_Pooling/config.json"),
        m.keys(
            "1_Pooling/config.json",
            embedding_dimension=WIDTH,
            pooling_mode_mean_tokens=True,
            pooling_mode_cls_token=True,
        ),
    ),
    "no flag": m.saved(
        m.without("1_Pooling/config.json"), m.keys("1_Pooling/config.json", word_embedding_dimension=32)
    ),
    "Normalize": m.saved(layers=("Normalize",)),
    "Dropout": m.saved(m.keys("2_Dropout/config.json", dropout=0.5), layers=("Dropout",)),
    "Dense": m.saved(m.dense("2_Dense"), layers=DENSE),
    "Dense, wider": m.saved(m.dense("2_Dense", to=48), layers=DENSE),
    "Dense without bias": m.saved(m.dense("2_Dense", bias=False), layers=DENSE),
    "Dense with Identity": m.saved(
        m.dense("2_Dense", activation_function="torch.nn.modules.linear.Identity"), layers=DENSE
    ),
    "Dense with GELU": m.saved(m.dense("2_Dense", activation_function="torch.nn.GELU"), layers=DENSE),
    "Dense, residual": m.saved(m.dense("2_Dense", to=WIDTH, use_residual=True), layers=DENSE),
    "Dense, projected residual": m.saved(m.dense("2_Dense", use_residual=True), layers=DENSE),
    "Dense, Normalize": m.saved(m.dense("2_Dense"), layers=("Dense", "Normalize")),
    "Normalize, Dense": m.saved(m.dense("3_Dense"), layers=("Normalize", "Dense")),
    "LayerNorm, Dense, Dense": m.saved(
        m.layer_norm("2_LayerNorm"),
        m.dense("3_Dense", to=24),
        m.dense("4_Dense", width=24, to=8),
        layers=("LayerNorm", "Dense", "Dense"),
    ),
    "joined, Dense": m.saved(m.dense("2_Dense", width=2 * WIDTH), pooling=["cls", "mean"], layers=DENSE),
    "truncate_dim": m.saved(m.prompts(truncate_dim=8)),
    "truncate_dim after Normalize": m.saved(m.prompts(truncate_dim=8), layers=("Normalize",)),
    "truncate_dim beyond": m.saved(m.prompts(truncate_dim=99)),
}


def ours(folder: Path, **options: Any) -> F32:
    spec = resolve_encoder(Encoder(model=str(folder), backend="torch-float32", max_length=8192, **options))
    vectors = load_encoder(spec, n_threads=1).encode(TEXTS)
    assert vectors.shape == (len(TEXTS), spec.width)
    return vectors


def their_model(folder: Path) -> Any:
    import torch
    from sentence_transformers import SentenceTransformer

    kwargs = {"dtype": torch.float32}
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True, model_kwargs=kwargs)


def theirs(model: Any, *, normalise: bool = True, **options: Any) -> Any:
    return model.encode(TEXTS, normalize_embeddings=normalise, show_progress_bar=False, **options)


@pytest.mark.parametrize("change", READING.values(), ids=READING)
def test_texts_are_read_as_sentence_transformers_reads_them(tmp_path: Path, change: m.Change) -> None:
    folder = tiny_encoder(tmp_path)
    change(folder)
    np.testing.assert_allclose(ours(folder), theirs(their_model(folder)), atol=NEAR)


@pytest.mark.parametrize("name", LAYERS)
def test_what_follows_the_tokens_is_as_in_sentence_transformers(tmp_path: Path, name: str) -> None:
    folder = tiny_encoder(tmp_path)
    LAYERS[name](folder)
    model = their_model(folder)
    # A last Normalize has nothing to do where vectors are scaled anyway.
    for normalise in (False, True) if "Normalize" in name else (False,):
        np.testing.assert_allclose(ours(folder, normalise=normalise), theirs(model, normalise=normalise), atol=NEAR)


@pytest.mark.parametrize("include_prompt", [True, False])
def test_a_prefix_is_a_prompt(tmp_path: Path, include_prompt: bool) -> None:
    folder = tiny_encoder(tmp_path)
    m.saved(m.keys("1_Pooling/config.json", include_prompt=include_prompt), m.prompt("game of: "))(folder)
    spec = resolve_encoder(Encoder(model=str(folder), backend="torch-float32", item_prefix="red ", user_prefix="blue "))
    encoder, model = load_encoder(spec, n_threads=1), their_model(folder)
    for prefix in ("red ", "blue "):
        vectors = encoder.encode([prefix + text for text in TEXTS])
        np.testing.assert_allclose(vectors, theirs(model, prompt=prefix), atol=NEAR)


def test_a_prefix_set_to_nothing_switches_the_default_prompt_off(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path)
    m.saved(m.prompt("game of: "))(folder)
    bare = theirs(their_model(folder), prompt="")
    assert np.abs(ours(folder) - bare).max() > 0.01
    np.testing.assert_allclose(ours(folder, item_prefix=""), bare, atol=NEAR)
