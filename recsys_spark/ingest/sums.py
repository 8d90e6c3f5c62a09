"""The account of a table: every accepted row is stored, merged, rejected or not yet due, and the sum is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recsys_spark.contract import CONTRACT, INTERACTIONS, USERS
from recsys_spark.ingest.accounts import does_not_add_up
from recsys_spark.ingest.build import Ingested
from recsys_spark.ingest.sources import Mapped
from recsys_spark.spark.observed import observed

LATER_REASONS = ("unknown_item", "duplicate_item", "duplicate_user")
"""Reasons for which a row is rejected that its source gave well."""


@dataclass(frozen=True)
class TableAccount:
    """What became of the accepted rows of all sources of a contract table.

    ``accepted + added = stored + merged + rejected + later + hidden``
    """

    table: str
    accepted: int
    stored: int
    """Rows of the stored table."""
    merged: int
    """Rows equal to another one, which are stored once."""
    rejected: int
    """Rows rejected after mapping: on unknown items, or with other contents for a known id."""
    later: int = 0
    """Behaviours at or after `as_of`, which have not happened yet."""
    hidden: int = 0
    """Rows that a backtest holds out."""
    added: int = 0
    """Users that only `selected_users` or a backtest names."""

    def check(self) -> None:
        """Raise DataError where rows are lost or invented."""
        used = self.stored + self.merged + self.rejected + self.later + self.hidden
        if self.accepted + self.added != used:
            raise does_not_add_up(
                f"sources.{self.table}", f"{self.accepted + self.added:,} accepted, {used:,} accounted for"
            )


def table_accounts(
    mapped: Mapping[str, Mapped],
    ingested: Ingested,
    n_rows: Mapping[str, int],
    rejected: Mapping[tuple[str, str], int],
    *,
    backtest: bool,
) -> list[TableAccount]:
    """Return the account of each contract table that has a source. Raises DataError where one does not add up.

    ``n_rows``: rows of each stored table. ``rejected``: (table, reason) -> rows of rejected_rows. All are counted from
    what was written. ``backtest``: whether rows may be hidden, and users added, by a backtest.
    """
    accounts = []
    for name, read in mapped.items():
        of_table = {reason: n for (table, reason), n in rejected.items() if table == name}
        after = sum(of_table.get(reason, 0) for reason in LATER_REASONS)
        before, given = sum(of_table.values()) - after, sum(one.rejected for one in read.accounts)
        if before != given:
            raise does_not_add_up(f"sources.{name}", f"{given:,} rows rejected, {before:,} of them in rejected_rows")
        stored = n_rows[CONTRACT[name].stored.name]
        merged = (observed(ingested.merged[name]) or {"merged": 0})["merged"]
        # A backtest may hide interactions, and users may be added. The opposite is a loss in either table.
        gap = read.n_accepted - stored - merged - after - read.n_later
        hidden = max(gap, 0) if backtest and CONTRACT[name].stored is INTERACTIONS else 0
        added = max(-gap, 0) if name == USERS.name else 0
        account = TableAccount(name, read.n_accepted, stored, merged, after, read.n_later, hidden, added)
        account.check()
        accounts.append(account)
    return accounts
