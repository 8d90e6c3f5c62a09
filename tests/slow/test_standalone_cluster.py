"""submit.sh on a real standalone cluster: the lists equal those of local mode row for row."""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from tests.slow.cluster import SPARK_HOME, Cluster, finished, standalone_cluster
from tests.slow.shadows import SAID, shadows
from tests.tiny_encoder import tiny_encoder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RUN_DATE = "2026-01-01"
N_USERS, N_ITEMS, TOP_N = 30, 24, 5
# Two machines with one core each, against two cores in one process: one thread per task in both.
SMALL = (
    "--conf",
    "spark.executor.memory=1g",
    "--conf",
    "spark.driver.memory=1g",
    "--conf",
    "spark.sql.shuffle.partitions=4",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module", autouse=True)
def elsewhere(folder: Path) -> Path:
    """Where all jobs here are started: no module of this folder may be imported."""
    return shadows(folder / "shadows")


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[Cluster]:
    with standalone_cluster(folder / "spark", n_workers=2, cores=1, memory="2g") as running:
        yield running


@pytest.fixture(scope="module")
def config(folder: Path) -> Path:
    """A shop with two tastes, a cold item and a user known by tags only; written once for both runs."""
    rng = random.Random(7)
    kinds = {"jazz": "blue album", "game": "space game"}
    items = [(f"i{n:02}", kind := list(kinds)[n % 2], f"{kinds[kind]} {n}") for n in range(N_ITEMS)]
    write(folder / "items.csv", ["item", "kind", "name"], items)
    events = []
    for u in range(N_USERS):
        liked = [item for item, kind, _ in items[:-1] if kind == list(kinds)[u % 2]]
        for item in rng.sample(liked, 8):
            when = datetime(2025, 12, 31, tzinfo=UTC) - timedelta(days=rng.randrange(60), seconds=rng.randrange(86_400))
            events.append((f"u{u:02}", item, rng.choice(["browse", "purchase"]), when.strftime("%Y-%m-%d %H:%M:%S")))
    write(folder / "events.csv", ["user", "item", "what", "at"], events)
    write(folder / "users.csv", ["user", "tag"], [("u00", "jazz"), ("by-tag", "game"), ("unknown", "")])
    file = folder / "shop.toml"
    file.write_text(
        f"""
run = {{ store = "to-be-set", top_n = {TOP_N}, seed = 1 }}
evaluate = {{ k = [{TOP_N}], n_bootstrap = 100 }}
encoder = {{ model = "{tiny_encoder(folder)}", max_length = 16, device = "cpu" }}
model = {{ width = 16, n_layers = 1, epochs = 2, threads = 1 }}

[behaviours.weights]
browse = 1.0
purchase = 3.0

[sources.behaviours]
format = "csv"
path = "events.csv"
options = {{ header = "true" }}
columns = {{ user_id = "user", item_id = "item", behaviour = "what", ts = "cast(at as timestamp)" }}

[sources.items]
format = "csv"
path = "items.csv"
options = {{ header = "true" }}
columns = {{ item_id = "item", title = "name", category = "kind" }}

[sources.users]
format = "csv"
path = "users.csv"
options = {{ header = "true" }}
columns = {{ user_id = "user", interest_tags = "filter(array(tag), t -> t is not null)" }}
""",
        encoding="utf-8",
    )
    return file


def write(file: Path, header: list[str], rows: list[tuple[str, ...]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([header, *rows])


def submit(folder: Path, config: Path, name: str, *options: str) -> tuple[int, str]:
    """Run the pipeline through submit.sh, away from the checkout, into the store ``folder / name``: status and log."""
    ours = ["pipeline", "--config", str(config), "--run-date", RUN_DATE, "--set", f"run.store={folder / name}"]
    # An empty entry of PYTHONPATH means the working directory.
    return finished(
        [str(ROOT / "submit.sh"), *ours, *SMALL, *options], folder / "spark", folder / "shadows", 900, f":{ROOT}"
    )


def published(folder: Path, config: Path, name: str, *options: str) -> dict[tuple[str, int], dict[str, object]]:
    """Run the pipeline and read its partition by (user_id, rank), without Spark and without this project."""
    status, log = submit(folder, config, name, *options)
    assert status == 0, log[-6000:]
    files = ds.dataset(folder / name / "recommendations" / f"run_date={RUN_DATE}", format="parquet")
    rows = files.to_table().to_pylist()
    by_place = {(row["user_id"], row["rank"]): row for row in rows}
    assert len(by_place) == len(rows), "two rows hold one place"
    return by_place


def test_cluster_gives_the_lists_of_local_mode(cluster: Cluster, folder: Path, config: Path) -> None:
    on_cluster = published(folder, config, "on-cluster", "--master", cluster.url)
    assert cluster.state()["completedapps"], "the job did not run on the cluster"
    local = published(folder, config, "local", "--master", "local[2]")

    assert len({user for user, _ in local}) == N_USERS + 2
    assert local.keys() == on_cluster.keys()
    for place, row in local.items():
        other = on_cluster[place]
        for exact in ("item_id", "source", "reasons"):
            assert other[exact] == row[exact], (place, exact)
        for measure in ("score", "cosine", "log_prob"):
            assert other[measure] == pytest.approx(row[measure], abs=1e-5), (place, measure)


def test_nothing_is_imported_from_the_working_directory_by_the_other_doors(
    cluster: Cluster, folder: Path, config: Path, elsewhere: Path
) -> None:
    """The console command runs the pipeline. A plain spark-submit scores again, as a setting has changed."""
    ours = ["--config", str(config), "--run-date", RUN_DATE, "--set", f"run.store={folder / 'doors'}"]
    quick = ["--set", "evaluate.enabled=false"]
    console = [str(Path(sys.executable).parent / "recsys-spark"), "pipeline", *ours, *quick]
    job = [str(ROOT / "jobs" / "score.py"), *ours, *quick, "--set", "score.temperature=2.0"]
    for command in (console, [str(SPARK_HOME / "bin" / "spark-submit"), "--master", "local[2]", *SMALL, *job]):
        status, log = finished(command, folder / "spark", elsewhere, 900, str(ROOT))
        assert status == 0, log[-6000:]
        assert SAID not in log


def test_exit_status_comes_back_through_spark_submit(cluster: Cluster, folder: Path, config: Path) -> None:
    """A wrong key is a configuration error, 2, on the other side of spark-submit as well, and writes nothing."""
    status, log = submit(folder, config, "refused", "--master", cluster.url, "--set", "run.top_m=3")
    assert status == 2, log[-6000:]
    assert "top_n" in log, "the nearest valid key"
    assert not (folder / "refused").exists()
