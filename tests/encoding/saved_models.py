"""Model folders as sentence-transformers saves them: changes of the tiny encoder, each a function of its folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.encoding.model_folders import rewrite
from tests.tiny_encoder import WIDTH, vocabulary

Change = Callable[[Path], object]

OLD, NEW = "sentence_transformers.models.", "sentence_transformers.sentence_transformer.modules."
OF_TRANSFORMER = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
TANH = "torch.nn.modules.activation.Tanh"


def saved(*changes: Change, pooling: str | list[str] = "mean", layers: tuple[str, ...] = ()) -> Change:
    """A folder with modules.json: a transformer, a pooling, and ``layers``, each a kind; then ``changes``."""

    def apply(folder: Path) -> None:
        modules(folder, "Transformer", "Pooling", *layers)
        rewrite(folder / "1_Pooling" / "config.json", word_embedding_dimension=WIDTH, pooling_mode=pooling)
        rewrite(folder / "sentence_bert_config.json", max_seq_length=64, do_lower_case=False)
        for change in changes:
            change(folder)

    return apply


def modules(folder: Path, *kinds: str, prefix: str = OLD) -> None:
    listed = [
        {"idx": i, "name": str(i), "path": "" if i == 0 else f"{i}_{kind}", "type": f"{prefix}{kind}"}
        for i, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))


def keys(file: str, **changes: Any) -> Change:
    return lambda folder: rewrite(folder / file, **changes)


def bert(**changes: Any) -> Change:
    return keys("sentence_bert_config.json", **changes)


def prompts(**changes: Any) -> Change:
    return keys("config_sentence_transformers.json", **changes)


def prompt(text: str) -> Change:
    return prompts(prompts={"passage": text, "query": "jazz "}, default_prompt_name="passage")


def tokens(**changes: Any) -> Change:
    return keys("tokenizer_config.json", **changes)


def without(*names: str) -> Change:
    return lambda folder: [(folder / name).unlink() for name in names]


def all_of(*changes: Change) -> Change:
    return lambda folder: [change(folder) for change in changes]


def cased(folder: Path) -> None:
    """A vocabulary only, whose tokenizer keeps upper case."""
    without("tokenizer.json")(folder)
    tokens(do_lower_case=False)(folder)


def in_tokenizer(change: Callable[[dict[str, Any]], object]) -> Change:
    """Change the content of tokenizer.json, whose class then leaves it as it is."""

    def apply(folder: Path) -> None:
        tokens(tokenizer_class="PreTrainedTokenizerFast", pad_token="[PAD]")(folder)
        content = json.loads((folder / "tokenizer.json").read_text())
        change(content)
        (folder / "tokenizer.json").write_text(json.dumps(content))

    return apply


def added(token_id: int) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": token_id, "content": "lamp", **flags}


def dense(path: str, width: int = WIDTH, to: int = 16, **keys_of_config: Any) -> Change:
    """A Dense layer with weights as its configuration asks for."""

    def apply(folder: Path) -> None:
        config = {"in_features": width, "out_features": to, "bias": True, "activation_function": TANH, **keys_of_config}
        rewrite(folder / path / "config.json", **config)
        random = np.random.default_rng(0)
        tensors = {"linear.weight": random.normal(0, 0.3, (to, width))}
        if config["bias"]:
            tensors["linear.bias"] = random.normal(0, 1, to)
        if config.get("use_residual") and to != width:
            tensors["residual.weight"] = random.normal(0, 0.3, (to, width))
        save_file({k: v.astype(np.float32) for k, v in tensors.items()}, folder / path / "model.safetensors")

    return apply


def layer_norm(path: str, width: int = WIDTH) -> Change:
    def apply(folder: Path) -> None:
        rewrite(folder / path / "config.json", dimension=width)
        random = np.random.default_rng(1)
        tensors = {f"norm.{name}": random.normal(1, 0.5, width).astype(np.float32) for name in ("weight", "bias")}
        save_file(tensors, folder / path / "model.safetensors")

    return apply


def old_layout(folder: Path) -> None:
    modules(folder, "Transformer", "Pooling")
    content = json.loads((folder / "modules.json").read_text())
    content[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(content))
    (folder / "0_Transformer").mkdir()
    for name in (*OF_TRANSFORMER, "sentence_bert_config.json"):
        if (folder / name).exists():
            shutil.move(folder / name, folder / "0_Transformer" / name)


def new_layout(folder: Path) -> None:
    """The names of version 6, with the pooling's folder under a name of its own."""
    base = "sentence_transformers.base.modules.transformer.Transformer"
    listed = [{"idx": 0, "name": "0", "path": "", "type": base}]
    listed.append({"idx": 1, "name": "1", "path": "pooled", "type": f"{NEW}pooling.Pooling"})
    (folder / "modules.json").write_text(json.dumps(listed))
    shutil.move(folder / "1_Pooling", folder / "pooled")
    text = {"method": "forward", "method_output_name": "last_hidden_state"}
    known = {"transformer_task": "feature-extraction", "modality_config": {"text": text}}
    (folder / "sentence_bert_config.json").write_text(json.dumps(known | {"module_output_name": "token_embeddings"}))


def weights(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Change:
    def apply(folder: Path) -> None:
        tensors = change(dict(load_file(folder / "model.safetensors")))
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return apply


def renamed(change: Callable[[str], str]) -> Change:
    return weights(lambda tensors: {change(name): tensor for name, tensor in tensors.items()})


def room_for_a_token(folder: Path) -> None:
    """One row more in the table of tokens, for an added token."""
    name, n = "embeddings.word_embeddings.weight", len(vocabulary())
    weights(lambda t: t | {name: np.vstack([t[name], np.full((1, WIDTH), 0.5, np.float32)])})(folder)
    rewrite(folder / "config.json", vocab_size=n + 1)


def sharded(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names, index = sorted(tensors), {}
    for part in range(2):
        shard = f"model-0000{part + 1}-of-00002.safetensors"
        save_file({n: tensors[n] for n in names[part::2]}, folder / shard, metadata={"format": "pt"})
        index |= dict.fromkeys(names[part::2], shard)
    rewrite(folder / "model.safetensors.index.json", metadata={"total_size": 1}, weight_map=index)


def network(kind: str, **changes: Any) -> Change:
    """Another network of transformers, random, under the tokenizer of the tiny encoder."""

    def apply(folder: Path) -> None:
        import torch
        from transformers import AutoConfig, AutoModel

        torch.manual_seed(0)
        sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
        sizes |= {"vocab_size": len(vocabulary()), "max_position_embeddings": 66, "pad_token_id": 0}
        model = AutoModel.from_config(AutoConfig.for_model(kind, **sizes | changes))
        in_tokenizer(lambda _: None)(folder)
        model.save_pretrained(folder)

    return apply
