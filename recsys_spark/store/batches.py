"""The manifest of a batch of embeddings, and what follows from it: which batches are read, and which may overlap.

No batch is ever changed. A batch is one of two things: what an append brought, or what a compaction made of earlier
batches, its sources. Both are there from the moment their manifest is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

_STARTED = re.compile(r"batch-(\d{8}T\d{6})-")


@dataclass(frozen=True)
class Batch:
    """The manifest of a batch."""

    name: str
    n_vectors: int
    written_at: str
    """ISO time at which the manifest was written."""
    knew: tuple[str, ...] = ()
    """The batches whose texts the writer of an append left out: none of their vectors is in it."""
    sources: tuple[str, ...] = ()
    """The batches a compaction replaces; empty for an append."""
    used_since: str | None = None
    """Set by a vacuum: texts that only runs before this time used may be missing."""

    @property
    def written(self) -> datetime:
        """:attr:`written_at` as a time."""
        return datetime.fromisoformat(self.written_at)

    def to_json(self) -> bytes:
        """Return the manifest's content."""
        return json.dumps(asdict(self), indent=1).encode()

    @staticmethod
    def from_json(content: bytes) -> Batch:
        """Return the batch. Raises ValueError, KeyError or TypeError where the content is not a manifest."""
        found = json.loads(content)
        return Batch(**{**found, "knew": tuple(found["knew"]), "sources": tuple(found["sources"])})


def live(batches: Iterable[Batch]) -> tuple[Batch, ...]:
    """Return the batches that no other one replaces. Together they hold every vector.

    >>> a, b = Batch("a", 1, ""), Batch("b", 1, "")
    >>> [batch.name for batch in live([a, b, Batch("c", 2, "", sources=("a", "b"))])]
    ['c']
    """
    found = tuple(batches)
    replaced = {name for batch in found for name in batch.sources}
    return tuple(batch for batch in found if batch.name not in replaced)


def split(batches: Sequence[Batch]) -> tuple[list[Batch], list[Batch]]:
    """Return (settled, doubtful): no text of a settled batch is in another batch; doubtful ones may share texts.

    Nights one after another are settled. Two runs at once are doubtful. So is a compaction next to the append of a
    run that had not seen all its sources. The next compaction makes one batch of the doubtful ones.

    >>> a, b = Batch("a", 1, ""), Batch("b", 1, "", knew=("a",))
    >>> settled, doubtful = split([a, b, Batch("c", 1, "", knew=("a",))])
    >>> [batch.name for batch in settled], [batch.name for batch in doubtful]
    (['a'], ['b', 'c'])
    """
    doubtful = [one for one in batches if not all(_apart(one, other) for other in batches if other is not one)]
    return [batch for batch in batches if batch not in doubtful], doubtful


def _apart(one: Batch, other: Batch) -> bool:
    return _left_out(one, other) or _left_out(other, one)


def _left_out(writer: Batch, other: Batch) -> bool:
    # Whoever left out all sources of a compaction has left out the compaction.
    return other.name in writer.knew or (bool(other.sources) and set(other.sources) <= set(writer.knew))


def name_at(moment: datetime, token: str) -> str:
    """Return the name of a batch that is begun now; a later one sorts behind it."""
    return f"batch-{moment.astimezone(UTC):%Y%m%dT%H%M%S}-{token}"


def begun(name: str) -> datetime | None:
    """Return when a batch of that name was begun; None where the name does not say.

    >>> begun("batch-20260102T030405-0a1b").isoformat(), begun("batch-0a1b")
    ('2026-01-02T03:04:05+00:00', None)
    """
    found = _STARTED.match(name)
    return datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if found else None
