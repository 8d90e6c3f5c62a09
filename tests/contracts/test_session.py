"""Who wins: defaults, then the configuration's [spark] section, then what spark-submit was given."""

from __future__ import annotations

from recsys_spark.session import REQUIRED, chosen_properties

PARTITIONS, ADAPTIVE = "spark.sql.shuffle.partitions", "spark.sql.adaptive.enabled"


def test_without_spark_submit_the_session_is_local() -> None:
    chosen = chosen_properties({}, None)
    assert chosen["spark.master"] == "local[*]"
    assert chosen[PARTITIONS] == "8"


def test_section_of_the_configuration_lies_above_the_defaults() -> None:
    section = {PARTITIONS: "64", ADAPTIVE: "false", "spark.master": "local[1]"}
    assert chosen_properties(section, None).items() >= section.items()


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
