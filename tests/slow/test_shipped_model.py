"""Embedding on a real cluster of two executors with models that only the driver, or only an archive of the job, has."""

from __future__ import annotations

import json
import shutil
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.files.load import load_encoder
from tests.slow import shipped_model_job as job
from tests.slow.cluster import finished, standalone_cluster
from tests.tiny_encoder import tiny_encoder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="executors are told apart by /proc"),
]
SEEDS = {"folder": 0, "archive": 1}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Vectors of both models, made in this process from copies that the job never sees."""
    made = {}
    for name, seed in SEEDS.items():
        spec = resolve_encoder(Encoder(model=str(tiny_encoder(tmp_path_factory.mktemp("expected"), seed=seed))))
        made[name] = load_encoder(spec, n_threads=1).encode(job.TEXTS)
    return made


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("shipped")
    for name, seed in SEEDS.items():
        tiny_encoder(folder / "models", seed=seed, name=name)
    packed = shutil.make_archive(str(folder / "packed"), "gztar", folder / "models", "archive")
    shutil.rmtree(folder / "models" / "archive")
    with standalone_cluster(folder / "spark", n_workers=job.N_EXECUTORS, cores=1, memory="1g") as cluster:
        command = [sys.executable, job.__file__, cluster.url, str(folder), f"{packed}#minilm"]
        status, printed = finished(command, folder / "spark", folder, 300)
    assert status == 0, printed[-6000:]
    return dict(json.loads((folder / "result.json").read_text()))


@pytest.mark.parametrize("name", SEEDS)
def test_every_executor_takes_the_copy_that_spark_brought(result: dict[str, Any], name: str) -> None:
    found = result[name]["found"]
    assert len({executor for executor, _ in found}) == job.N_EXECUTORS
    assert len({folder for _, folder in found}) == job.N_EXECUTORS
    for _, folder in found:
        assert folder.endswith(f"/{result[name]['shipped']}")
        assert folder != result[name]["path"]


@pytest.mark.parametrize("name", SEEDS)
def test_vectors_are_those_of_the_drivers_model(
    result: dict[str, Any], expected: dict[str, np.ndarray], name: str
) -> None:
    hashes = [sha256(text.encode()).hexdigest() for text in job.TEXTS]
    found = np.array([result[name]["vectors"][content_hash] for content_hash in hashes])
    np.testing.assert_allclose(found, expected[name], atol=2e-6)


def test_model_is_shipped_once_and_not_where_the_job_brings_it(result: dict[str, Any]) -> None:
    assert result["folder"]["again"] == result["folder"]["shipped"]
    assert result["archive"]["shipped"] == "minilm/archive"
    # The archive of the job, and the folder's.
    assert [result[name]["archives"] for name in SEEDS] == [2, 2]
