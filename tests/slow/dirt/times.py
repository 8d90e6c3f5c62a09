"""Expressions of a time that raise, or find nothing, on one value."""

from __future__ import annotations

from tests.slow.dirt.expression import BAD_TS, Good, expression
from tests.slow.dirt.fault import Cells, Rejected
from tests.slow.dirt.shop import Row


def _time(pattern: str) -> Good:
    return lambda row: {"x": f"{row['ts']:{pattern}}"}


def _stamp(scale: int) -> Good:
    return lambda row: {"x": str(int(row["ts"].timestamp()) * scale)}


def _parts(row: Row) -> Cells:
    ts = row["ts"]
    return {"y": str(ts.year), "m": str(ts.month), "d": str(ts.day), "h": str(ts.hour), "s": f"{ts:%M:%S}"}


def _zoned(row: Row) -> Cells:
    return {"x": f"{row['ts']:%Y-%m-%d %H:%M:%S}", "zone": "UTC"}


PLAIN = "yyyy-MM-dd HH:mm:ss"
MADE = (
    "make_timestamp(cast(y as int), cast(m as int), cast(d as int), cast(h as int), "
    "cast(split(s, ':')[0] as int), cast(split(s, ':')[1] as double))"
)
FUTURE = Rejected("future_ts")
TIMES = (
    ("seconds", "timestamp_seconds(cast(x as bigint))", _stamp(1), {"x": "1706206874000000"}, BAD_TS),
    ("seconds-edge", "timestamp_seconds(cast(x as bigint))", _stamp(1), {"x": "-9223372036854775808"}, BAD_TS),
    ("millis", "timestamp_millis(cast(x as bigint))", _stamp(1000), {"x": "1706206874000000000"}, BAD_TS),
    ("micros", "timestamp_micros(cast(x as bigint))", _stamp(1_000_000), {"x": "9223372036854775807"}, FUTURE),
    ("cast", "cast(cast(x as bigint) as timestamp)", _stamp(1), {"x": "9223372036854775807"}, FUTURE),
    ("text", "x", _time("%Y-%m-%d %H:%M:%S"), {"x": "yesterday"}, BAD_TS),
    ("text-year", "x", _time("%Y-%m-%d %H:%M:%S"), {"x": "+12024-01-25 00:00:00"}, FUTURE),
    ("make", MADE, _parts, {"m": "13"}, BAD_TS),
    ("make-second", MADE, _parts, {"s": "10:75"}, BAD_TS),
    ("format", f"to_timestamp(x, '{PLAIN}')", _time("%Y-%m-%d %H:%M:%S"), {"x": "25/01/2024"}, BAD_TS),
    (
        "format-of-row",
        "to_timestamp(x, f)",
        lambda r: _time("%Y-%m-%d %H:%M:%S")(r) | {"f": PLAIN},
        {"f": "QQQQQQ"},
        BAD_TS,
    ),
    ("zone", "from_utc_timestamp(cast(x as timestamp), zone)", _zoned, {"zone": "Mars/Olympus"}, BAD_TS),
    ("to-zone", "to_utc_timestamp(x, zone)", _zoned, {"zone": "GMT+99"}, BAD_TS),
    ("convert-zone", "convert_timezone(zone, 'UTC', cast(x as timestamp_ntz))", _zoned, {"zone": "Nowhere"}, BAD_TS),
    (
        "add",
        "timestampadd(MONTH, cast(n as int), cast(x as timestamp))",
        lambda r: _zoned(r) | {"n": "0"},
        {"n": "2147483647"},
        BAD_TS,
    ),
    (
        "interval",
        "cast(x as timestamp) + make_dt_interval(cast(n as int))",
        lambda r: _zoned(r) | {"n": "0"},
        {"n": "2147483647"},
        BAD_TS,
    ),
    ("trunc", "date_trunc(u, x)", lambda r: _zoned(r) | {"u": "SECOND"}, {"u": "AEON"}, BAD_TS),
)
"""name, expression of ts, good cells, bad cells, outcome."""

FAULTS = tuple(expression(f"ts-{n}", "behaviours", "ts", *rest) for n, *rest in TIMES)
