"""Who wins: defaults, then the configuration's [spark] section, then what spark-submit was given; and who gets GPUs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch
from pyspark.sql import SparkSession

from recsys_spark.errors import ConfigError
from recsys_spark.spark.gpus import DYNAMIC, EXECUTOR_AMOUNT, STAGE_AMOUNT, TASK_AMOUNT, gpu_plan, why_on_cpu
from recsys_spark.spark.session import LOCAL_DEFAULTS, LOCAL_SQL, REQUIRED, chosen_properties

GPU_CONF = Path(__file__).parents[2] / "conf" / "spark" / "gpu.conf"

PARTITIONS, ADAPTIVE = "spark.sql.shuffle.partitions", "spark.sql.adaptive.enabled"


def test_without_spark_submit_the_session_is_local() -> None:
    chosen = chosen_properties({}, None)
    assert chosen["spark.master"] == "local[*]"
    assert chosen[PARTITIONS] == "8"


@pytest.mark.parametrize("submitted", [None, {}])
def test_workers_leave_the_working_directory_unless_somebody_says_otherwise(submitted: dict[str, str] | None) -> None:
    key = "spark.executorEnv.PYTHONSAFEPATH"
    assert chosen_properties({}, submitted)[key] == "1"
    assert chosen_properties({key: ""}, submitted)[key] == ""


def test_section_of_the_configuration_lies_above_the_defaults() -> None:
    section = {PARTITIONS: "64", ADAPTIVE: "false", "spark.master": "local[1]"}
    assert chosen_properties(section, None).items() >= section.items()


def test_threads_of_workers_sleep_while_they_wait_unless_somebody_says_otherwise(spark: SparkSession) -> None:
    policies = spark.range(2).rdd.map(lambda _: os.environ.get("OMP_WAIT_POLICY")).collect()
    assert policies == ["PASSIVE", "PASSIVE"]
    other = {"spark.executorEnv.OMP_WAIT_POLICY": "ACTIVE"}
    assert chosen_properties(other, None).items() >= other.items()
    assert not chosen_properties({}, other).keys() & other.keys()


@pytest.mark.parametrize("master", ["yarn", "spark://h:7077", "k8s://https://h:443"])
def test_a_cluster_that_the_configuration_names_gets_nothing_that_is_for_one_machine(master: str) -> None:
    chosen = chosen_properties({"spark.master": master}, None)
    assert chosen["spark.master"] == master
    assert not chosen.keys() & {*LOCAL_DEFAULTS, *LOCAL_SQL}
    assert chosen_properties({"spark.master": "local[2]"}, None).items() >= (LOCAL_DEFAULTS | LOCAL_SQL).items()


def test_what_spark_submit_was_given_is_left_alone() -> None:
    given = {"spark.master": "yarn", PARTITIONS: "400", ADAPTIVE: "false"}
    chosen = chosen_properties({PARTITIONS: "64", "spark.executor.memory": "8g"}, given)
    assert not given.keys() & chosen.keys()
    assert chosen["spark.executor.memory"] == "8g"


def test_a_cluster_keeps_its_own_sizes() -> None:
    assert PARTITIONS not in chosen_properties({}, {"spark.master": "yarn"})
    assert chosen_properties({}, {"spark.master": "local[2]"})[PARTITIONS] == "8"


def test_utc_cannot_be_switched_off() -> None:
    zone = {"spark.sql.session.timeZone": "Asia/Shanghai"}
    assert chosen_properties(zone, {"spark.master": "yarn", **zone}).items() >= REQUIRED.items()


def file_of_gpus() -> dict[str, str]:
    lines = GPU_CONF.read_text(encoding="utf-8").splitlines()
    return dict(re.split(r"\s+", line, maxsplit=1) for line in lines if line and not line.startswith("#"))


def on(master: str, **properties: str) -> dict[str, str]:
    names = {"gpus": EXECUTOR_AMOUNT, "per_task": TASK_AMOUNT, "for_stage": STAGE_AMOUNT, "dynamic": DYNAMIC}
    names |= {"cores": "spark.executor.cores", "cpus": "spark.task.cpus"}
    return {"spark.master": master} | {names[name]: value for name, value in properties.items()}


@pytest.mark.parametrize("master", ["yarn", "k8s://https://h:443", "spark://h:7077", "local-cluster[2,1,1024]"])
def test_only_the_stages_on_gpus_ask_for_them_under_the_shipped_file(master: str) -> None:
    properties = chosen_properties({}, {"spark.master": master, **file_of_gpus()}) | file_of_gpus()
    assert TASK_AMOUNT not in properties, "every stage would run one task per GPU"
    plan = gpu_plan({"spark.master": master} | properties, "auto")
    assert (plan.kind, plan.gpus, plan.cpus) == ("tasks", 1, 1)


def test_dynamic_allocation_gives_gpus_to_executors_of_their_own() -> None:
    submitted = {"spark.master": "yarn", **file_of_gpus(), DYNAMIC: "true"}
    properties = submitted | chosen_properties({}, submitted)
    assert (properties[EXECUTOR_AMOUNT], properties[STAGE_AMOUNT]) == ("0", "1")
    assert gpu_plan(properties, "cuda").kind == "executors"


def test_whoever_asks_for_gpus_in_every_task_gets_that() -> None:
    submitted = on("yarn", gpus="1", per_task="1", dynamic="true")
    assert EXECUTOR_AMOUNT not in chosen_properties({}, submitted)
    assert gpu_plan(submitted, "auto").kind == "none"


@pytest.mark.parametrize(
    ("properties", "cpus"),
    [
        (on("yarn", gpus="1", cores="8"), 8),
        (on("yarn", gpus="4", cores="8"), 2),
        (on("yarn", gpus="4", cores="2", cpus="2"), 2),
        (on("spark://h:1", gpus="2", cpus="3"), 3),
        (on("yarn", for_stage="2", cores="6", dynamic="true"), 3),
    ],
)
def test_cores_of_an_executor_are_shared_out_to_its_gpus(properties: dict[str, str], cpus: int) -> None:
    assert gpu_plan(properties, "auto").cpus == cpus


@pytest.mark.parametrize(
    ("properties", "device", "why"),
    [
        (on("local[4]", gpus="1"), "auto", "local mode"),
        (on("yarn", gpus="1"), "cpu", "as configured"),
        (on("yarn"), "auto", "no GPU asked"),
        (on("yarn", gpus="0"), "cuda", "no GPU asked"),
        (on("yarn", gpus="1", per_task="0.5"), "auto", "every task"),
        (on("mesos://h", gpus="1"), "auto", "mesos://h cannot"),
    ],
)
def test_stage_without_a_profile_says_why(properties: dict[str, str], device: str, why: str) -> None:
    plan = gpu_plan(properties, device)
    assert plan.kind == "none"
    assert why in plan.why


@pytest.mark.parametrize(
    ("master", "asked", "backend", "cuda", "why"),
    [
        ("local[2]", "auto", "torch-float32", False, "on the CPU: torch here has no CUDA"),
        ("local[2]", "auto", "int8", False, "on the CPU: torch here has no CUDA"),
        ("local[2]", "auto", "int8", True, "on the CPU, because int8 computes there only"),
        ("local[2]", "auto", "torch-float16", True, None),
        ("local[2]", "cpu", "int8", False, None),
        ("yarn", "auto", "int8", False, "on the CPU, because int8 computes there only"),
        ("yarn", "auto", "torch-float16", False, None),
        ("local-cluster[2,1,1024]", "auto", "torch-float32", False, None),
    ],
)
def test_an_encoder_that_nobody_sent_to_the_cpu_says_why_it_is_there(
    monkeypatch: pytest.MonkeyPatch, master: str, asked: str, backend: str, cuda: bool, why: str | None
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    device = "cpu" if backend == "int8" else asked
    assert why_on_cpu(master, asked, device, backend) == why


@pytest.mark.parametrize(
    ("properties", "names"),
    [
        (on("spark://h:7077", for_stage="1", dynamic="true"), "spark.executor.cores"),
        (on("yarn", for_stage="1"), DYNAMIC),
    ],
)
def test_what_would_wait_for_ever_is_refused(properties: dict[str, str], names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        gpu_plan(properties, "auto")
