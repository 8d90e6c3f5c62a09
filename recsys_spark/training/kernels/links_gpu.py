"""The evidence of :mod:`recsys_spark.model.kernels.links` in training on a GPU.

The computation is dense, while the CPU goes item by item.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from recsys_spark.model.kernels.histories import Histories
from recsys_spark.model.kernels.links import MIN_EVIDENCE, MIN_REST, Evidence
from recsys_spark.numerics.arrays import I64
from recsys_spark.numerics.full_precision import full_precision
from recsys_spark.training.kernels.link_fit import Fitted

MAX_CELLS = 1 << 27
"""Positions x items at once: 512 MiB for each of a few matrices."""


class DeviceLinks:
    """P of the linked items in the memory of ``device``."""

    def __init__(self, fitted: Fitted, device: torch.device) -> None:
        self.fitted, self.device = fitted, device
        self.inverse = torch.from_numpy(fitted.inverse).to(device)
        self.diagonal = self.inverse.diagonal().clone()

    def evidence_without_self(self, histories: Histories, row: I64, column: I64) -> Evidence:
        """Return the same as ``link_fit.evidence_without_self``, except for rounding; (row, column) ascend.

        Sums over a prefix are products with a matrix of zeros and ones, users side by side.
        """
        found, start, step = [], 0, max(1, MAX_CELLS // max(1, len(self.diagonal)))
        # Cut between users: a prefix needs all behaviours of its user.
        borders = np.append(np.flatnonzero(np.diff(row)) + 1, len(row))
        while start < len(row):
            fitting = borders[(borders > start) & (borders <= start + step)]
            stop = int(fitting[-1] if len(fitting) else borders[borders > start][0])
            found.append(self._of_users(histories, row[start:stop], column[start:stop], start))
            start = stop
        if not found:
            return Evidence(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        row, item, value = (np.concatenate(columns) for columns in zip(*found, strict=True))
        return Evidence(row, item, value)

    def _of_users(self, histories: Histories, row: I64, column: I64, start: int) -> Evidence:
        """Return the evidence of all rows of some users; ``start`` is the number of the first row."""
        users, of_row = np.unique(row, return_inverse=True)
        user, at, place = self._own_items(histories.take(users))
        user_of_row, last = self._here(of_row), self._here(column)
        with full_precision():
            weights = self.inverse[place]
            is_own = torch.arange(len(users), device=self.device).unsqueeze(1) == user.unsqueeze(0)
            own = is_own.float() @ weights
            q = torch.zeros(len(users), device=self.device).index_add_(0, user, own[user, place])
            per_rest = (1.0 / (1.0 - q).clamp(min=MIN_REST))[user_of_row].unsqueeze(1)
            before = (user_of_row.unsqueeze(1) == user.unsqueeze(0)) & (at.unsqueeze(0) <= last.unsqueeze(1))
            prefix = before.float() @ weights
            together = before.float() @ own[user, place].unsqueeze(1)
        own = own[user_of_row]
        evidence = prefix.addcmul_(together * per_rest, own)
        evidence.div_((own * own).mul_(per_rest).add_(self.diagonal)).neg_()
        # An item's own weight would be -1.
        r, k = before.nonzero(as_tuple=True)
        evidence.index_put_((r, place[k]), torch.ones((), device=self.device), accumulate=True)
        enough = evidence >= MIN_EVIDENCE
        found, item = (numbers.cpu().numpy() for numbers in enough.nonzero(as_tuple=True))
        return Evidence(found + start, self.fitted.linked[item], evidence[enough].cpu().numpy())

    def _own_items(self, users: Histories) -> tuple[Tensor, Tensor, Tensor]:
        """Return the linked items of users, each at its first occurrence: user, column, row of P; all [n]."""
        user = np.repeat(np.arange(users.n_users), users.lengths)
        column, place = np.arange(len(user)) - users.offsets[user], self.fitted.place[users.items]
        _, first = np.unique(user * len(self.fitted.place) + users.items, return_index=True)
        first = np.sort(first[place[first] >= 0])
        return self._here(user[first]), self._here(column[first]), self._here(place[first])

    def _here(self, values: I64) -> Tensor:
        return torch.from_numpy(values).to(self.device)
