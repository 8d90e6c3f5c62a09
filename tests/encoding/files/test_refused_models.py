"""Model folders whose vectors would be other ones are refused by name, and files that nobody reads are named."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from tests.encoding import saved_models as m
from tests.encoding.model_folders import TRUSTED, refusal, resolve, rewrite
from tests.tiny_encoder import WIDTH, tiny_encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_encoder(tmp_path)


ADAPTER = m.keys("adapter_config.json", peft_type="LORA", base_model_name_or_path="org/base")
TABLE = "embeddings.word_embeddings.weight"
GONE = "encoder.layer.1.output.dense.bias"


def listed(*entries: tuple[str, str]) -> m.Change:
    content = [{"idx": i, "name": str(i), "type": kind, "path": path} for i, (kind, path) in enumerate(entries)]
    return lambda folder: (folder / "modules.json").write_text(json.dumps(content))


def kinds(*names: str) -> m.Change:
    return m.saved(lambda folder: m.modules(folder, *names))


def with_dense(**config: object) -> m.Change:
    return m.saved(m.dense("2_Dense"), m.keys("2_Dense/config.json", **config), layers=("Dense",))


def pickled(name: str) -> m.Change:
    return lambda folder: (folder / name).rename((folder / name).with_name("pytorch_model.bin"))


T = f"{m.OLD}Transformer"
REFUSED: dict[str, tuple[m.Change, tuple[str, ...]]] = {
    "an adapter alone": (
        m.all_of(ADAPTER, lambda f: (f / "model.safetensors").rename(f / "adapter_model.safetensors")),
        ("adapter_config.json", "adapter_model.safetensors", "merge_and_unload"),
    ),
    "an adapter beside whole weights": (m.saved(ADAPTER), ("adapter_config.json", "delete the adapter_ files")),
    "an adapter in the old layout": (
        m.saved(m.old_layout, m.keys("0_Transformer/adapter_config.json", peft_type="LORA")),
        ("0_Transformer/adapter_config.json",),
    ),
    "a token beyond the table": (
        m.in_tokenizer(lambda c: c["added_tokens"].append(m.added(6868))),
        ("'lamp' is 6868", "below 6,868", "resize_token_embeddings"),
    ),
    "a token of added_tokens.json beyond the table": (m.keys("added_tokens.json", lamp=6868), ("'lamp' is 6868",)),
    "a smaller table": (
        m.all_of(m.weights(lambda t: t | {TABLE: t[TABLE][:6000]}), m.keys("config.json", vocab_size=6000)),
        ("868 tokens", "below 6,000"),
    ),
    "tensors are missing": (
        m.weights(lambda t: {n: v for n, v in t.items() if n != GONE}),
        ("1 tensors missing", GONE),
    ),
    "tensors of another shape": (
        m.keys("config.json", intermediate_size=48),
        ("encoder.layer.0.intermediate.dense.weight [64, 32], not [48, 32]",),
    ),
    "words before the names": (
        m.renamed(lambda name: f"0.auto_model.{name}"),
        ("names in the file begin with 0.auto_model", "save_pretrained"),
    ),
    "quantised weights": (
        m.weights(lambda t: t | {TABLE: t[TABLE].astype(np.int8)}),
        ("quantised", "1 tensors of I8"),
    ),
    "an unknown network": (m.keys("config.json", model_type="no-such-model"), ("cannot load", "no-such-model")),
    "exports only": (
        m.all_of(m.without("model.safetensors"), m.keys("onnx/model.onnx")),
        ("only exports", "onnx/model.onnx"),
    ),
    "a module that is not supported": (kinds("Transformer", "Pooling", "LSTM"), ("LSTM (2_LSTM)",)),
    "a module before the pooling": (kinds("Transformer", "CNN", "Pooling"), ("CNN (1_CNN)",)),
    "weighted layers": (kinds("Transformer", "WeightedLayerPooling", "Pooling"), ("WeightedLayerPooling",)),
    "no transformer": (kinds("StaticEmbedding"), ("StaticEmbedding (the folder itself)",)),
    "a router": (kinds("Router", "Pooling"), ("Router",)),
    "two poolings": (kinds("Transformer", "Pooling", "Pooling"), ("not supported here: Pooling",)),
    "no module": (listed(), ("an empty list",)),
    "no pooling": (kinds("Transformer", "Normalize"), ("no Pooling in modules.json", "encoder.pooling")),
    "no file of the pooling": (m.saved(m.without("1_Pooling/config.json")), ("no such file",)),
    "a module of its own": (listed((T, ""), ("own.Pooling", "1_Pooling")), ("own.Pooling in 1_Pooling",)),
    "a folder outside": (listed((T, "../other")), ("path '../other'",)),
    "an absolute folder": (listed((T, "/models")), ("path '/models'",)),
    "Dense without a file": (m.saved(layers=("Dense",)), ("2_Dense/config.json", "no such file")),
    "Dense in pickle": (
        m.saved(m.dense("2_Dense"), pickled("2_Dense/model.safetensors"), layers=("Dense",)),
        ("only pickle files", "2_Dense"),
    ),
    "Dense of another width": (with_dense(in_features=64), ("in_features 64", f"in_features {WIDTH}")),
    "Dense with other weights": (with_dense(out_features=20), ("linear.weight [16, 32]", "linear.weight [20, 32]")),
    "Dense without its bias": (with_dense(bias=False), ("linear.bias [16]",)),
    "Dense with an activation of its own": (with_dense(activation_function="own.Swish"), ("'own.Swish'", "Tanh")),
    "Dense with an activation over all": (with_dense(activation_function="torch.nn.Softmax"), ("torch.nn.Softmax",)),
    "Dense of the tokens": (with_dense(module_input_name="token_embeddings"), ("module_input_name token_embeddings",)),
    "LayerNorm of another width": (
        m.saved(m.layer_norm("2_LayerNorm", 16), layers=("LayerNorm",)),
        ("dimension 16", f"dimension {WIDTH}"),
    ),
    "no such default prompt": (m.saved(m.prompts(prompts={}, default_prompt_name="q")), ("default_prompt_name 'q'",)),
    "a reranker": (m.saved(m.prompts(model_type="CrossEncoder")), ("model_type CrossEncoder",)),
    "truncate_dim that is not a number": (m.saved(m.prompts(truncate_dim="8")), ("truncate_dim", "'8'")),
    "max_seq_length that is not a number": (m.saved(m.bert(max_seq_length=0)), ("max_seq_length", "at least 3")),
    "another task": (m.saved(m.bert(transformer_task="fill-mask")), ("transformer_task fill-mask",)),
    "another output": (m.saved(m.bert(module_output_name="scores")), ("module_output_name scores",)),
    "a chat": (m.saved(m.bert(modality_config={"message": {"method": "forward"}})), ("modality_config",)),
    "other steps of the tokenizer": (
        m.saved(m.bert(processing_kwargs={"text": {"truncation": False}})),
        ("processing_kwargs.text",),
    ),
    "other arguments of the model": (m.saved(m.bert(model_args={"load_in_8bit": True})), ("model_args.load_in_8bit",)),
    "another tokenizer": (m.saved(m.bert(tokenizer_name_or_path="org/other")), ("tokenizer_name_or_path org/other",)),
    "lower case without modules.json": (m.bert(do_lower_case=True), ("no modules.json", "do_lower_case true")),
    "a prompt without modules.json": (m.prompt("game: "), ("no modules.json", "'game: '")),
    "a chat template without modules.json": (m.tokens(chat_template="{{ x }}"), ("chat template", "encoder.pooling")),
    "types of the tokens": (
        m.all_of(
            m.tokens(model_input_names=["input_ids", "token_type_ids", "attention_mask"]),
            m.in_tokenizer(lambda c: c["post_processor"]["single"][1]["Sequence"].update(type_id=1)),
        ),
        ("token_type_ids [0, 1",),
    ),
}


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_a_folder_with_other_vectors_is_refused_by_name(folder: Path, change: m.Change, words: tuple[str, ...]) -> None:
    change(folder)
    message = refusal(folder)
    assert str(folder) in message
    for word in words:
        assert word in message


def test_trust_does_not_cover_modules_of_the_models_own(folder: Path) -> None:
    listed((T, ""), ("own.Pooling", "1_Pooling"))(folder)
    assert "own.Pooling" in refusal(folder, **TRUSTED)


WARNED: dict[str, tuple[m.Change, tuple[str, ...]]] = {
    "an unknown file": (m.keys("weights.json"), ("are not read: weights.json",)),
    "other weights": (lambda f: (f / "model.fp16.safetensors").touch(), ("model.fp16.safetensors",)),
    "weights of an adapter": (lambda f: (f / "adapter_model.safetensors").touch(), ("adapter_model.safetensors",)),
    "a file outside the transformer's folder": (
        m.all_of(m.old_layout, m.bert(do_lower_case=True)),
        ("are not read: sentence_bert_config.json",),
    ),
    "unknown keys": (m.all_of(m.bert(own=1), m.prompts(other=2)), ("ignored: own", "ignored: other")),
    "lengths of tasks": (m.bert(query_length=8), ("query_length",)),
    "prompts, none by default": (m.prompts(prompts={"q": "query: "}), ("encoder.item_prefix", "query: ")),
    "lengths count": (m.prompts(similarity_fn_name="dot"), ("trained for dot", "encoder.normalise = false")),
    "spare tensors": (
        m.weights(lambda t: t | {n.replace("layer.1", "layer.2"): v for n, v in t.items() if "layer.1" in n}),
        ("16 tensors", "encoder.layer.2"),
    ),
    "a tokenizer that cannot be made": (m.tokens(tokenizer_class="XLMRobertaTokenizer"), ("taken as it is",)),
}


@pytest.mark.parametrize(("change", "words"), WARNED.values(), ids=WARNED)
def test_what_is_ignored_is_named(
    folder: Path, change: m.Change, words: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    m.saved(change)(folder)
    resolve(folder)
    warnings = " ".join(record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    for word in words:
        assert word in warnings


def test_documents_exports_and_traces_of_a_training_are_not_worth_a_word(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    m.saved(layers=("Normalize",))(folder)
    for name in (
        "README.md",
        "LICENSE",
        "pytorch_model.bin",
        "onnx/model.onnx",
        "openvino/openvino_model.xml",
        ".git/x",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    rewrite(folder / "openvino" / "config.json")
    resolve(folder)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("prefixes", "said"),
    [
        ({}, ["stands before every text: 'game of: '"]),
        ({"item_prefix": "a ", "user_prefix": "b "}, ["replace the model's default prompt"]),
        ({"item_prefix": "a "}, ["replace the model's default prompt", "only item_prefix is set"]),
    ],
)
def test_which_prompt_applies_is_logged(
    folder: Path, prefixes: dict[str, str], said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    m.saved(m.prompt("game of: "))(folder)
    spec = resolve(folder, **prefixes)
    assert spec.prompt == ("" if prefixes else "game of: ")
    assert [text for text in said if text not in caplog.text] == []
