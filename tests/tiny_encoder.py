"""A random two-layer BertModel of width 32 in a folder: nothing to download, milliseconds to write and to run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

WIDTH, LAYERS, HEADS, INNER, POSITIONS = 32, 2, 4, 64, 64
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = re.findall(
    r"\w+", "of and for red blue green cotton wool dress jazz rock album space horror comedy game course"
)


def vocabulary() -> list[str]:
    """Special tokens, a few words, letters and digits (whole and as continuation), 6,763 Chinese ones."""
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789")
    codes = [bytes([high, low]) for high in range(0xB0, 0xF8) for low in range(0xA1, 0xFF)]
    chinese = [character for code in codes if (character := code.decode("gb2312", "ignore"))]
    return [*SPECIAL, *WORDS, *letters, *(f"##{letter}" for letter in letters), *list(".,:;!?-'&()"), *chinese]


def tiny_encoder(
    tmp_path: Path, *, seed: int = 0, dtype: type[np.floating] = np.float32, name: str = "tiny-encoder"
) -> Path:
    """Write the encoder into ``tmp_path / name`` and return that folder; the same seed gives the same bytes."""
    folder = tmp_path / name
    folder.mkdir(parents=True)
    tokens = vocabulary()
    tensors = {key: value.astype(dtype) for key, value in _tensors(len(tokens), seed).items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": len(tokens),
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "max_position_embeddings": POSITIONS,
        "pad_token_id": 0,
        "torch_dtype": np.dtype(dtype).name,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    _tokenizer(tokens).save(str(folder / "tokenizer.json"))
    return folder


def _tokenizer(tokens: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def _tensors(n_tokens: int, seed: int) -> dict[str, np.ndarray]:
    """The tensors of a BertModel without its pooler, wide enough in spread that texts differ."""
    random = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {}

    def linear(key: str, rows: int, columns: int) -> None:
        tensors[f"{key}.weight"] = random.normal(0, 0.2, (rows, columns)).astype(np.float32)
        tensors[f"{key}.bias"] = random.normal(0, 0.1, rows).astype(np.float32)

    def norm(key: str) -> None:
        tensors[f"{key}.weight"], tensors[f"{key}.bias"] = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    for table, rows in (("word", n_tokens), ("position", POSITIONS), ("token_type", 2)):
        tensors[f"embeddings.{table}_embeddings.weight"] = random.normal(0, 1, (rows, WIDTH)).astype(np.float32)
    norm("embeddings.LayerNorm")
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            linear(f"{at}.attention.self.{part}", WIDTH, WIDTH)
        linear(f"{at}.attention.output.dense", WIDTH, WIDTH)
        norm(f"{at}.attention.output.LayerNorm")
        linear(f"{at}.intermediate.dense", INNER, WIDTH)
        linear(f"{at}.output.dense", WIDTH, INNER)
        norm(f"{at}.output.LayerNorm")
    return tensors


def poison(folder: Path, *words: str) -> Path:
    """Spoil the encoder in ``folder``, so that only texts with one of ``words`` come out as NaN; return the folder."""
    tensors = dict(load_file(folder / "model.safetensors"))
    table = np.array(tensors["embeddings.word_embeddings.weight"])
    table[[vocabulary().index(word) for word in words]] = np.nan
    save_file(
        tensors | {"embeddings.word_embeddings.weight": table},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    return folder
