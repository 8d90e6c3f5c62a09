"""Item and user texts as the profile stages write them, and their vectors by the project's encoder, cached on disk."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.common.suite import say
from benchmarks.quality.data import Taggings, World
from benchmarks.quality.methods import Texts
from recsys_spark.config.encoder import Encoder
from recsys_spark.numerics.arrays import F32
from recsys_spark.profiles.kernels.cleaning import clean_tags, cut
from recsys_spark.profiles.kernels.composing import item_fields, item_text

CACHE = Path("build") / "quality-cache"
ITEM_TAGS, USER_TAGS = 10, 20
TEXTS_AT_ONCE = 2_048


def item_texts(world: World) -> list[str | None]:
    """Return the text of each item, by the template of the data set's settings; None if there is nothing to say.

    Tags are the catalogue's own and the ITEM_TAGS that users gave most often, ties by name.
    """
    profiles, given = world.settings.profiles, _counted(world.taggings, by_user=False)
    texts = []
    for item in range(world.n_items):
        own = world.item_tags[item] if world.item_tags else ()
        best = [tag for tag, _ in _most_given(given.get(item, Counter()), 1, ITEM_TAGS)]
        fields = item_fields(
            title=world.titles[item],
            description=world.descriptions[item] if world.descriptions else None,
            category=None,
            tags=clean_tags([*own, *best])[: profiles.max_tags],
            attributes=None,
            max_chars=profiles.max_text_chars,
        )
        texts.append(item_text(profiles.item_template, fields, profiles.max_text_chars))
    return texts


def user_texts(world: World) -> list[str | None]:
    """Return each user's interest tags: the USER_TAGS put on most items, and on `min_items_per_tag` at least."""
    profiles, given = world.settings.profiles, _counted(world.profile_taggings, by_user=True)
    texts = []
    for user in range(world.n_users):
        best = [tag for tag, _ in _most_given(given.get(user, Counter()), world.min_items_per_tag, USER_TAGS)]
        joined = ", ".join(clean_tags(best)[: profiles.max_tags])
        texts.append(cut(joined, profiles.max_text_chars) or None)
    return texts


def texts_of(world: World, n_threads: int, folder: Path = CACHE) -> Callable[[], Texts]:
    """Return a function that encodes a world's items and users at the first call."""

    @cache
    def read() -> Texts:
        encoder = world.settings.encoder
        of_items, of_users = item_texts(world), user_texts(world)
        prefixed = [
            *(None if text is None else encoder.item_prefix + text for text in of_items),
            *(None if text is None else encoder.user_prefix + text for text in of_users),
        ]
        vectors = encoded(prefixed, encoder, n_threads, folder)
        present = np.array([text is not None for text in prefixed])
        n = world.n_items
        return Texts(vectors[:n], present[:n], vectors[n:], present[n:])

    return read


def encoded(texts: Sequence[str | None], cfg: Encoder, n_threads: int, folder: Path = CACHE) -> F32:
    """Return [n, h], zero rows for None; read from the file of this encoder and these texts if there is one."""
    from benchmarks.encode.cases import device_of
    from recsys_spark.encoding.files.identity import resolve_encoder
    from recsys_spark.encoding.files.load import load_encoder

    spec = resolve_encoder(cfg)
    distinct = sorted({text for text in texts if text is not None})
    digest = hashlib.sha256("\0".join(distinct).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    path = folder / f"{spec.encoder_id}-{digest}.npy"
    if path.exists():
        vectors = np.load(path)
    else:
        say(f"encoding {len(distinct):,} texts with {Path(cfg.model).name} ({spec.backend})")
        encoder = load_encoder(spec, n_threads)
        encoder.to(device_of(spec))
        blocks = [encoder.encode(distinct[low : low + TEXTS_AT_ONCE]) for low in range(0, len(distinct), TEXTS_AT_ONCE)]
        vectors = np.concatenate([np.zeros((0, spec.width), np.float32), *blocks])
        folder.mkdir(parents=True, exist_ok=True)
        # Written aside first: a cut run must not leave half a file under the final name.
        aside = path.with_suffix(".part.npy")
        np.save(aside, vectors)
        aside.rename(path)
    place = {text: number for number, text in enumerate(distinct)}
    out = np.zeros((len(texts), spec.width), np.float32)
    rows = [row for row, text in enumerate(texts) if text is not None]
    if rows:
        out[rows] = vectors[[place[str(texts[row])] for row in rows]]
    return out


def _counted(taggings: Taggings, *, by_user: bool) -> dict[int, Counter[str]]:
    """How often an item was given each tag, or on how many items a user put it."""
    found: dict[int, Counter[str]] = {}
    triples = set(zip(taggings.user.tolist(), taggings.item.tolist(), taggings.tag.tolist(), strict=True))
    for user, item, tag in triples:
        found.setdefault(user if by_user else item, Counter())[tag] += 1
    return found


def _most_given(counts: Counter[str], least: int, n: int) -> list[tuple[str, int]]:
    """Most often first, ties by name.

    >>> _most_given(Counter({"b": 2, "a": 2, "c": 3, "d": 1}), 2, 2)
    [('c', 3), ('a', 2)]
    """
    known = [(tag, count) for tag, count in counts.items() if count >= least]
    return sorted(known, key=lambda pair: (-pair[1], pair[0]))[:n]
