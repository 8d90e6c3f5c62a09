"""Expressions of values, ids, texts, tags, attributes and conditions that raise, or find nothing, on one value."""

from __future__ import annotations

from tests.slow.dirt.expression import BAD_ID, BAD_VALUE, BAD_WHERE, INDEX, RIGHT, Good, cell, expression, indexed
from tests.slow.dirt.fault import Cells, Read, Rejected
from tests.slow.dirt.shop import Row

VALUES = (
    ("index", INDEX, indexed("value"), {"n": "0"}, BAD_VALUE),
    ("number", "to_number(x, '9.9')", cell("value"), {"x": "nine"}, BAD_VALUE),
    (
        "assert",
        "if(x = 'bad', raise_error('no such play'), cast(x as double))",
        cell("value"),
        {"x": "bad"},
        BAD_VALUE,
    ),
    ("group", r"regexp_extract(x, '([0-9.]+)', cast(n as int))", indexed("value"), {"n": "7"}, BAD_VALUE),
    ("pattern", "regexp_replace(x, p, '')", lambda r: {"x": f"{r['value']}h", "p": "h"}, {"p": "("}, BAD_VALUE),
    (
        "like",
        "if(x rlike p, cast(x as double), null)",
        lambda r: {"x": str(r["value"]), "p": "."},
        {"p": "[a"},
        BAD_VALUE,
    ),
    (
        "xpath",
        "xpath_double(x, 'a/b')",
        lambda r: {"x": f"<a><b>{r['value']}</b></a>"},
        {"x": "<a><b>1</a>"},
        BAD_VALUE,
    ),
    (
        "binary",
        "cast(to_binary(x, 'hex') as string)",
        lambda r: {"x": str(r["value"]).encode().hex()},
        {"x": "zz"},
        BAD_VALUE,
    ),
    (
        "charset",
        "decode(encode(x, 'UTF-8'), c)",
        lambda r: {"x": str(r["value"]), "c": "UTF-8"},
        {"c": "UTF-9"},
        BAD_VALUE,
    ),
    (
        "json",
        "from_json(x, 'a double', map('mode', 'FAILFAST')).a",
        lambda r: {"x": f'{{"a": {r["value"]}}}'},
        {"x": "{"},
        BAD_VALUE,
    ),
    (
        "variant",
        "variant_get(parse_json(x), '$.a', 'double')",
        lambda r: {"x": f'{{"a": {r["value"]}}}'},
        {"x": "{a"},
        BAD_VALUE,
    ),
    ("sequence", "size(sequence(1, cast(x as int), 1))", lambda r: {"x": str(int(r["value"]))}, {"x": "-3"}, BAD_VALUE),
    (
        "repeat",
        "length(repeat('abc', cast(x as int))) / 3",
        lambda r: {"x": str(int(r["value"]))},
        {"x": "1000000000"},
        BAD_VALUE,
    ),
    ("part", "split_part(x, '/', cast(n as int))", lambda r: {"x": str(r["value"]), "n": "1"}, {"n": "0"}, BAD_VALUE),
    ("slice", "slice(split(x, ','), cast(n as int), 1)[0]", indexed("value"), {"n": "0"}, BAD_VALUE),
    (
        "bits",
        "cast(x as double) + bit_get(0, cast(n as int))",
        lambda r: {"x": str(r["value"]), "n": "0"},
        {"n": "64"},
        BAD_VALUE,
    ),
    (
        "decrypt",
        "coalesce(cast(cast(aes_decrypt(unhex(x), '0000111122223333', 'ECB') as string) as double), cast(v as double))",
        lambda r: {"x": None, "v": str(r["value"])},
        {"x": "00FF"},
        BAD_VALUE,
    ),
    ("infinite", "x", cell("value"), {"x": "Infinity"}, BAD_VALUE),
    ("word", "x", cell("value"), {"x": "nine"}, BAD_VALUE),
    ("cast", "cast(x as double)", cell("value"), {"x": "nine"}, RIGHT),
    ("zero", "cast(x as double) / cast(n as double)", indexed("value"), {"n": "0"}, RIGHT),
    ("decimal", "cast(x as decimal(38,2)) * cast(n as decimal(38,0))", indexed("value"), {"n": "9" * 38}, BAD_VALUE),
)
"""name, expression of value, good cells, bad cells, outcome; a value that is only not there is stored as null."""


def _text_of(column: str) -> Good:
    return lambda row: {"x": str(row[column]).replace(" ", "+")}


def _pairs(row: Row) -> Cells:
    return {"x": f"brand:{row['attributes']['brand']}", "k": "brand", "v": row["attributes"]["brand"]}


def _tags(row: Row) -> Cells:
    return {"x": ",".join(row["tags"]), "p": ",", "n": "1"}


OTHERS = (
    ("id-url", "behaviours", "user_id", "url_decode(x)", _text_of("user_id"), {"x": "%zz"}, BAD_ID),
    ("id-index", "items", "item_id", INDEX, indexed("item_id"), {"x": "lost-id", "n": "0"}, BAD_ID),
    ("id-index", "relations", "friend_id", INDEX, indexed("friend_id"), {"x": "lost-id", "n": "0"}, BAD_ID),
    ("id-null", "behaviours", "item_id", "nullif(x, '?')", _text_of("item_id"), {"x": "?"}, Rejected("null_id")),
    ("title-url", "items", "title", "url_decode(x)", _text_of("title"), {"x": "100%"}, BAD_VALUE),
    (
        "title-utf8",
        "items",
        "title",
        "validate_utf8(cast(unhex(x) as string))",
        lambda r: {"x": r["title"].encode().hex()},
        {"x": "FF"},
        BAD_VALUE,
    ),
    ("tags-pattern", "items", "tags", "split(x, p)", _tags, {"p": "("}, BAD_VALUE),
    ("tags-lambda", "items", "tags", "transform(split(x, ','), t -> url_decode(t))", _tags, {"x": "a,%q"}, BAD_VALUE),
    ("tags-slice", "items", "tags", "slice(split(x, ','), cast(n as int), 9)", _tags, {"n": "0"}, BAD_VALUE),
    (
        "map-twice",
        "items",
        "attributes",
        "str_to_map(x, ';', ':')",
        _pairs,
        {"x": "brand:b1;brand:b2"},
        Read("the last value is kept"),
        {"brand": "b2"},
    ),
    ("map-null", "items", "attributes", "map(k, v)", _pairs, {"k": None}, BAD_VALUE),
    (
        "map-arrays",
        "items",
        "attributes",
        "map_from_arrays(split(k, ','), split(v, ','))",
        _pairs,
        {"k": "a,b"},
        BAD_VALUE,
    ),
    (
        "user-tags",
        "users",
        "interest_tags",
        "transform(split(x, '[|]'), t -> url_decode(t))",
        lambda r: {"x": "|".join(r["interest_tags"])},
        {"x": "%"},
        BAD_VALUE,
    ),
    ("weight", "relations", "weight", INDEX, indexed("weight"), {"n": "0"}, BAD_VALUE),
    ("weight-minus", "relations", "weight", "x", cell("weight"), {"x": "-1"}, BAD_VALUE),
)
"""name, table, column, expression, good cells, bad cells, outcome."""
WHERES = (
    ("where-index", "behaviours", f"{INDEX} = 'yes'", {"x": "yes", "n": "1"}, {"n": "0"}),
    ("where-number", "items", "to_number(x, '99') > 0", {"x": "10"}, {"x": "sold"}),
    ("where-error", "users", "if(x = 'bad', raise_error('bad'), true)", {"x": "ok"}, {"x": "bad"}),
    ("where-zone", "relations", "to_utc_timestamp('2024-01-01', x) > '2000-01-01'", {"x": "UTC"}, {"x": "Nowhere"}),
)
"""name, table, condition, good cells, bad cells."""

FAULTS = (
    *(expression(f"value-{n}", "behaviours", "value", *rest) for n, *rest in VALUES),
    *(expression(*rest) for rest in OTHERS),
    *(
        expression(name, table, "", text, lambda _, good=good: dict(good), bad, BAD_WHERE, where=True)
        for name, table, text, good, bad in WHERES
    ),
)
