"""A session without a SparkContext is refused before any work, with what was found and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.udf import encoder_udf
from recsys_spark.errors import ConfigError
from recsys_spark.pipeline import run_pipeline
from recsys_spark.spark.driver import require_context
from recsys_spark.spark.session import create_session
from tests.builders import config


class Elsewhere:
    """Like a session of Spark Connect: no attribute of the JVM is there. Any other use of it fails the test."""

    def __getattr__(self, name: str) -> Any:
        if name == "sparkContext":
            raise AttributeError(f"[JVM_ATTRIBUTE_NOT_SUPPORTED] Attribute `{name}` is not supported in Spark Connect")
        raise AssertionError(f"{name} was used before the check")


def connect_session() -> Any:
    """PySpark's own class, made without a server."""
    pytest.importorskip("grpc")
    session = pytest.importorskip("pyspark.sql.connect.session").SparkSession
    return object.__new__(session)


@pytest.fixture(params=[Elsewhere, connect_session])
def elsewhere(request: pytest.FixtureRequest) -> Any:
    return request.param()


def test_the_pipeline_refuses_a_session_without_a_context_and_touches_nothing(elsewhere: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        run_pipeline(elsewhere, config(run={"store": str(tmp_path / "store")}), "2026-01-01")
    error = caught.value
    assert error.exit_code == 2
    assert f"{type(elsewhere).__module__}.{type(elsewhere).__qualname__}" in str(error.found)
    assert "JVM_ATTRIBUTE_NOT_SUPPORTED" in str(error.found)
    assert "classic session" in str(error.expected)
    assert "SPARK_REMOTE" in str(error.action)
    assert not list(tmp_path.iterdir())


def test_the_column_function_refuses_a_session_without_a_context(elsewhere: Any) -> None:
    with pytest.raises(ConfigError, match="no SparkContext"):
        encoder_udf(Encoder(model="no model is looked for"), spark=elsewhere)


def test_a_session_whose_platform_refuses_in_its_own_words_is_named() -> None:
    class Guarded:
        @property
        def sparkContext(self) -> Any:  # noqa: N802
            raise RuntimeError("not whitelisted on this cluster\nsecond line")

    guarded: Any = Guarded()
    with pytest.raises(ConfigError) as caught:
        require_context(guarded)
    assert str(caught.value.found).endswith("Guarded: not whitelisted on this cluster")


@pytest.mark.parametrize("given", [{"spark.remote": "sc://h:15002"}, {"spark.api.mode": "connect"}])
def test_no_session_is_started_where_the_configuration_asks_for_connect(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="Spark Connect was asked for") as caught:
        create_session(given)
    assert caught.value.where == next(iter(given))


def test_no_session_is_started_where_the_environment_asks_for_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_REMOTE", "sc://h:15002")
    with pytest.raises(ConfigError, match="SPARK_REMOTE = sc://h:15002"):
        create_session()
