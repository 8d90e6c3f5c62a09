"""Every pooling keeps the contract: padding changes nothing, one token is its own vector, the formula holds."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.kernels.pooling import POOLINGS, pool


class PoolingContract:
    """Inherit it in a class whose name begins with Test, and give the name and the formula."""

    name: str

    def of_one_text(self, tokens: torch.Tensor) -> torch.Tensor:
        """``[h]`` of the token vectors ``[t, h]`` of one text, float64."""
        raise NotImplementedError

    @pytest.fixture(params=[torch.float32, torch.bfloat16])
    def batch(self, request: pytest.FixtureRequest) -> tuple[torch.Tensor, torch.Tensor]:
        lengths, generator = torch.tensor([3, 1, 5]), torch.Generator().manual_seed(1)
        mask = (torch.arange(5) < lengths[:, None]).long()
        return torch.randn(3, 5, 4, generator=generator).to(request.param), mask

    def test_each_text_is_pooled_by_the_formula(self, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
        hidden, mask = batch
        pooled = POOLINGS[self.name].pool(hidden, mask)
        assert pooled.shape == (3, 4)
        for row, length in enumerate(mask.sum(1).tolist()):
            expected = self.of_one_text(hidden[row, :length].double())
            torch.testing.assert_close(pooled[row].double(), expected, atol=1e-6, rtol=1e-6)

    def test_padding_changes_no_bit(self, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
        hidden, mask = batch
        other = hidden.masked_fill(mask.unsqueeze(2) == 0, 7.0)
        pool = POOLINGS[self.name].pool
        assert torch.equal(pool(hidden, mask), pool(other, mask))

    def test_one_token_is_the_text(self, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
        hidden, mask = batch
        assert torch.equal(POOLINGS[self.name].pool(hidden, mask)[1].float(), hidden[1, 0].float())


class TestMean(PoolingContract):
    name = "mean"

    def of_one_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.mean(0)


class TestFirst(PoolingContract):
    name = "cls"

    def of_one_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens[0]


class TestLast(PoolingContract):
    name = "last"

    def of_one_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens[-1]


class TestLargest(PoolingContract):
    name = "max"

    def of_one_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.max(0).values


class TestMeanOfRoot(PoolingContract):
    name = "mean_sqrt_len_tokens"

    def of_one_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.sum(0) / len(tokens) ** 0.5


class TestWeightedMean(PoolingContract):
    name = "weightedmean"

    def of_one_text(self, tokens: torch.Tensor) -> torch.Tensor:
        positions = torch.arange(1, len(tokens) + 1, dtype=torch.float64)
        return positions @ tokens / positions.sum()


def test_several_poolings_are_joined_in_their_order() -> None:
    hidden, mask = torch.randn(2, 3, 4), torch.tensor([[1, 1, 1], [1, 0, 0]])
    joined = [POOLINGS[name].pool(hidden, mask) for name in ("mean", "cls")]
    assert torch.equal(pool("mean+cls", hidden, mask), torch.cat(joined, dim=1))


def test_every_pooling_has_a_contract_and_a_value_in_the_configuration() -> None:
    tested = {contract.name for contract in PoolingContract.__subclasses__()}
    configured = set(get_args(Encoder.model_fields["pooling"].annotation))
    assert tested == set(POOLINGS) == configured - {"auto"}
