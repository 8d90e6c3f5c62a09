"""One encoder measured: what is counted, and what is left where it cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys_spark.encoder_choice.measurement import (
    Measurement,
    TextSample,
    main,
    measure,
    peak_bytes,
    read_result,
    token_shares,
    write_inputs,
    write_task,
)
from recsys_spark.encoder_choice.probe import Probe, target_ranks
from recsys_spark.encoding.files.load import load_encoder
from recsys_spark.encoding.kernels.spec import EncoderSpec
from tests.encoder_choice.test_probe import probe_of
from tests.encoding.model_folders import resolve
from tests.tiny_encoder import WIDTH, tiny_encoder

WORDS = ("blue", "red", "green", "space", "horror", "comedy")
TEXTS = [f"{a} {b}" for a in WORDS for b in WORDS]


def probe() -> Probe:
    n = len(TEXTS)
    return probe_of(list(range(n)), [(t, [((t * 7 + 3) % n, 1.0)], []) for t in range(n) if (t * 7 + 3) % n != t])


@pytest.fixture
def spec(tmp_path: Path) -> EncoderSpec:
    return resolve(tiny_encoder(tmp_path), device="cpu", max_length=8, item_prefix="game ", user_prefix="jazz and ")


def test_tokens_are_counted_with_the_prefix_of_users_or_items(spec: EncoderSpec) -> None:
    measured = measure(spec, TextSample(["blue dress", "red"], ["album"], []), None, 1)
    # [CLS] game blue dress [SEP], [CLS] game red [SEP], [CLS] jazz and album [SEP]
    assert (measured.n_texts, measured.n_tokens) == (3, 5 + 4 + 5)
    assert (measured.unknown_share, measured.cut_share, measured.ranks) == (0, 0, None)
    assert (measured.device, measured.device_bytes) == ("cpu", 0)
    assert measured.seconds > 0
    assert measured.cpu_s > 0
    assert measured.load_s > 0


def test_ranks_come_from_the_vectors_of_the_encoder(spec: EncoderSpec) -> None:
    measured = measure(spec, TextSample(TEXTS, [], TEXTS), probe(), 1)
    vectors = load_encoder(spec, 1).encode(["game " + text for text in TEXTS])
    assert measured.ranks == target_ranks(vectors, probe()).tolist()
    assert measured.ranks != target_ranks(load_encoder(spec, 1).encode(TEXTS), probe()).tolist(), (
        "the prefix makes a difference"
    )


def test_shares_count_what_is_unknown_and_what_is_cut(spec: EncoderSpec) -> None:
    encoder = load_encoder(spec, 1)
    # 2 tokens; 3, one of them unknown; 9, of which max_length 8 keeps 6 beside [CLS] and [SEP].
    texts = ["blue dress", "red \N{SNOWMAN} dress", "game " * 9]
    assert token_shares(encoder, texts) == pytest.approx((1 / 14, 3 / 14))
    assert encoder.tokenizer.truncation["max_length"] == 8, "the encoder's own tokenizer cuts as before"


def test_a_text_that_is_not_unicode_is_counted(spec: EncoderSpec) -> None:
    assert token_shares(load_encoder(spec, 1), ["blue \ud83d dress"])[1] == 0


def test_a_measurement_survives_the_files_between_the_processes(spec: EncoderSpec, tmp_path: Path) -> None:
    write_inputs(tmp_path, TextSample(TEXTS, ["jazz"], TEXTS), probe())
    write_task(tmp_path, spec, n_threads=1, probed=True)
    assert read_result(tmp_path) is None
    assert main(tmp_path) == 0
    measured = read_result(tmp_path)
    assert isinstance(measured, Measurement)
    assert measured.ranks == measure(spec, TextSample(TEXTS, [], TEXTS), probe(), 1).ranks
    write_task(tmp_path, spec, n_threads=1, probed=False)
    assert read_result(tmp_path) is None, "an earlier result is not taken for the next one's"


def test_an_encoder_that_cannot_be_loaded_is_a_result_in_words(spec: EncoderSpec, tmp_path: Path) -> None:
    write_inputs(tmp_path, TextSample(TEXTS, [], TEXTS), probe())
    write_task(tmp_path, replace(spec, encoder_id="0" * 16), n_threads=1, probed=True)
    assert main(tmp_path) == 1
    assert "another encoder than the driver" in str(read_result(tmp_path))


def test_an_unexpected_error_is_a_result(spec: EncoderSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(*_: object) -> None:
        raise MemoryError("37 GiB")

    monkeypatch.setattr("recsys_spark.encoder_choice.measurement.load_encoder", overflow)
    write_inputs(tmp_path, TextSample(TEXTS, [], TEXTS), probe())
    write_task(tmp_path, spec, n_threads=1, probed=True)
    assert main(tmp_path) == 1
    assert read_result(tmp_path) == "MemoryError: 37 GiB"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is only ru_maxrss")
def test_a_large_parent_does_not_count_as_memory_of_the_child() -> None:
    ballast = np.ones(300_000_000, np.uint8)
    code = "from recsys_spark.encoder_choice.measurement import peak_bytes; print(peak_bytes())"
    found = int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)
    assert 10_000_000 < found < ballast.nbytes < peak_bytes()


def test_a_task_holds_the_whole_spec(spec: EncoderSpec, tmp_path: Path) -> None:
    write_task(tmp_path, spec, n_threads=3, probed=False)
    task = json.loads((tmp_path / "task.json").read_text())
    assert EncoderSpec(**task["spec"]) == spec
    assert (task["n_threads"], task["probed"], spec.width) == (3, False, WIDTH)
