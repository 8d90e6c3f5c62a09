"""Vacuum: what no profile has used for so many days goes, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.cli import main
from recsys_spark.errors import ConfigError
from recsys_spark.spark.filesystem import FileSystem
from recsys_spark.store import upkeep
from recsys_spark.store.areas import Area, Store
from recsys_spark.store.embeddings import MANIFEST
from recsys_spark.store.upkeep import recent_walks, vacuum
from recsys_spark.tables import ENCODED, ITEM_PROFILES, USER_PROFILES
from tests.builders import frame

NOW = datetime.now(UTC) + timedelta(days=2)  # what the tests append was appended two days ago


@pytest.fixture
def store(spark: SparkSession, tmp_path: Path) -> Store:
    store = Store(spark, str(tmp_path / "store"))
    store.vectors.clock = lambda: NOW
    return store


def append(store: Store, *hashes: str, encoder_id: str = "e") -> None:
    rows = [{"content_hash": h, "encoder_id": encoder_id, "vector": [0.1, 0.2]} for h in hashes]
    clock, store.vectors.clock = store.vectors.clock, lambda: datetime.now(UTC)
    store.vectors.append(encoder_id, frame(store.spark, ENCODED, rows), known=store.vectors.snapshot(encoder_id))
    store.vectors.clock = clock


def walk(
    store: Store,
    items: Sequence[str] = (),
    users: Sequence[str] = (),
    *,
    days_ago: float = 3,
    run_date: str = "2026-01-01",
    name: str = "main",
    encoder_id: str | None = "e",
) -> Area:
    """Profiles with these hashes, written so many days ago; and, unless its encoder is None, embedded then."""
    area = store.area(run_date, name)
    attempt = area.attempt("profiles", "key")
    attempt.write(ITEM_PROFILES, frame(store.spark, ITEM_PROFILES, [{"item_id": h, "content_hash": h} for h in items]))
    attempt.write(
        USER_PROFILES,
        frame(store.spark, USER_PROFILES, [{"user_id": h, "content_hash": h} for h in users] + [{"user_id": "none"}]),
    )
    attempt.commit({}, 0.0)
    if encoder_id is not None:
        area.attempt("embed", "key").commit({"encoder_id": encoder_id}, 0.0)
    for path in Path(area.folder).glob("*.json"):
        written = {"finished_at": (NOW - timedelta(days=days_ago)).isoformat()}
        FileSystem(store.spark).write(str(path), json.dumps(json.loads(path.read_text()) | written).encode())
    return area


def hashes(store: Store, encoder_id: str = "e") -> list[str]:
    return sorted(row["content_hash"] for row in store.embeddings(encoder_id).collect())


def files(store: Store) -> list[str]:
    return sorted(str(path) for path in Path(store.root).rglob("*"))


def test_what_a_walk_of_the_last_days_used_stays_and_the_rest_goes(store: Store) -> None:
    append(store, "item", "user", "backtest", "old")
    append(store, "older", "nobody")
    walk(store, ["item"], ["user"])
    walk(store, ["backtest"], name="backtest")
    walk(store, ["old", "item"], days_ago=31, run_date="2026-05-05")
    walk(store, ["older"], days_ago=40, run_date="2026-05-06")
    [found] = vacuum(store, 30)
    assert (found.n_vectors, found.n_unused, found.done) == (6, 3, True)
    assert hashes(store) == ["backtest", "item", "user"]
    assert len(store.vectors.snapshot("e").batches) == 1
    [again] = vacuum(store, 30)
    assert (again.n_vectors, again.n_unused) == (3, 0)


def test_a_longer_time_keeps_more(store: Store) -> None:
    append(store, "new", "old")
    walk(store, ["new"])
    walk(store, ["old"], days_ago=31, run_date="2026-05-05")
    vacuum(store, 32)
    assert hashes(store) == ["new", "old"]


def test_a_backfill_of_old_dates_has_used_its_texts_when_it_ran(store: Store) -> None:
    append(store, "a", "b")
    walk(store, ["a"], run_date="2001-01-01", days_ago=1)
    vacuum(store, 30)
    assert hashes(store) == ["a"]


def test_an_encoder_that_nobody_used_goes_as_a_whole(store: Store) -> None:
    append(store, "a", encoder_id="new")
    append(store, "a", encoder_id="old")
    walk(store, ["a"], encoder_id="new")
    walk(store, ["a"], encoder_id="old", days_ago=31, run_date="2026-05-05")
    vacuum(store, 30)
    assert hashes(store, "new") == ["a"]
    assert store.vectors.encoders() == ["new"]
    assert not (Path(store.root) / "embeddings/encoder_id=old").exists()


def test_a_run_whose_encoder_is_not_known_yet_may_use_any(store: Store) -> None:
    append(store, "a", "b", encoder_id="old")
    append(store, "a", encoder_id="new")
    walk(store, ["a"], encoder_id=None)
    vacuum(store, 30)
    assert hashes(store, "old") == ["a"]
    assert hashes(store, "new") == ["a"]


def test_an_embed_manifest_of_the_run_before_does_not_name_the_encoder(store: Store) -> None:
    area = walk(store, ["a"], encoder_id="old")
    path = Path(area.folder) / "profiles.json"
    late = {"finished_at": (NOW - timedelta(hours=1)).isoformat()}
    FileSystem(store.spark).write(str(path), json.dumps(json.loads(path.read_text()) | late).encode())
    assert [w.encoder_id for w in recent_walks(store, NOW - timedelta(days=1))] == [None]


def test_a_manifest_that_does_not_say_when_it_was_written_counts_as_recent(store: Store) -> None:
    append(store, "a", "b")
    area = walk(store, ["a"], days_ago=100)
    for path in Path(area.folder).glob("*.json"):
        FileSystem(store.spark).write(
            str(path), json.dumps(json.loads(path.read_text()) | {"finished_at": None}).encode()
        )
    vacuum(store, 30)
    assert hashes(store) == ["a"]


def test_what_was_appended_within_a_day_stays(store: Store) -> None:
    append(store, "old")
    store.vectors.clock = lambda: datetime.now(UTC)
    append(store, "young")
    append(store, "youngest", encoder_id="other")
    [found, other] = vacuum(store, 30)
    assert (found.n_unused, other.n_unused) == (0, 0)
    store.vectors.clock = lambda: NOW
    walk(store, ["old"])
    path = next(Path(store.root).glob("embeddings/encoder_id=other/*/" + MANIFEST))
    late = {"written_at": NOW.isoformat()}
    FileSystem(store.spark).write(str(path), json.dumps(json.loads(path.read_text()) | late).encode())
    vacuum(store, 30)
    assert hashes(store, "other") == ["youngest"]


def test_an_encoder_somebody_is_writing_to_stays(store: Store) -> None:
    append(store, "a")
    begun = Path(store.root) / f"embeddings/encoder_id=e/batch-{NOW:%Y%m%dT%H%M%S}-0a1b"
    begun.mkdir()
    [found] = vacuum(store, 30)
    assert (found.n_unused, found.done) == (1, False)
    assert hashes(store) == ["a"]
    assert begun.exists()


def test_a_dry_run_says_what_would_go_and_deletes_nothing(store: Store) -> None:
    append(store, "a", "b", "c", "d")
    append(store, "a", encoder_id="unused")
    walk(store, ["a"])
    before = files(store)
    [found, unused] = vacuum(store, 30, dry_run=True)
    assert files(store) == before
    assert (found.n_vectors, found.n_unused, found.done) == (4, 3, False)
    assert found.unused_bytes == found.n_bytes * 3 // 4 > 0
    assert (unused.encoder_id, unused.n_vectors, unused.n_unused) == ("unused", 1, 1)


@pytest.mark.parametrize("used", [["a"], []], ids=["some are used", "none is used"])
def test_a_run_that_writes_profiles_meanwhile_stops_it(
    used: list[str], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(store, "a", "b")
    walk(store, used)
    looked = []

    def look(*args: object) -> list[upkeep.Walk]:
        if looked:
            walk(store, ["b"], run_date="2026-01-02", days_ago=0)
        looked.append(args)
        return recent_walks(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(upkeep, "recent_walks", look)
    [found] = vacuum(store, 30)
    assert not found.done
    assert hashes(store) == ["a", "b"]
    monkeypatch.undo()
    vacuum(store, 30)
    assert hashes(store) == sorted([*used, "b"])


def test_a_walk_whose_vectors_may_have_gone_has_to_embed_again(store: Store) -> None:
    append(store, "new", "old")
    new, old = walk(store, ["new"]), walk(store, ["old"], days_ago=31, run_date="2026-05-05")
    assert store.has_embeddings("e", new)
    assert store.has_embeddings("e", old)
    vacuum(store, 30)
    append(store, "more")
    store.vectors.compact("e")
    assert store.has_embeddings("e", new)
    assert not store.has_embeddings("e", old)
    assert store.has_embeddings("e")
    assert not store.has_embeddings("other", new)


def test_the_commands(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SparkSession, "stop", lambda _: None)
    file = tmp_path / "job.toml"
    file.write_text(
        f"""run = {{ store = "{store.root}", top_n = 20 }}
behaviours = {{ weights = {{ view = 1.0 }} }}
encoder = {{ model = "nowhere" }}
sources.behaviours = {{ format = "csv", path = "x", columns = {{ user_id = "u" }} }}
sources.items = {{ format = "csv", path = "x", columns = {{ item_id = "i" }} }}
"""
    )
    append(store, "a", "b")
    append(store, "c")
    walk(store, ["a"])
    assert main(["compact", "--config", str(file)]) == 0
    assert main(["compact", "--config", str(file)]) == 0
    assert main(["vacuum", "--config", str(file), "--dry-run"]) == 0
    assert hashes(store) == ["a", "b", "c"]
    assert main(["vacuum", "--config", str(file), "--days", "5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["encoder e: compacted", "encoder e: nothing to do"]
    assert lines[2].startswith("encoder e: 2 of 3 vectors unused for 30 days, about 0.0 of 0.0 MiB: would go")
    assert lines[3].endswith(": dropped")
    assert hashes(store) == ["a"]


@pytest.mark.parametrize("days", ["0", "-1", "many", "1.5"])
def test_a_wrong_number_of_days_is_refused_before_anything_is_read(days: str) -> None:
    assert main(["vacuum", "--config", "absent.toml", f"--days={days}"]) == ConfigError.exit_code
