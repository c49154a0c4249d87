"""The value at a rank, of many pieces as of one."""

from array import array
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runllm.stats.ranks import Counted, Merged, quantile

SECONDS = st.one_of(st.sampled_from([0.0, 1.0, 1.5]), st.floats(min_value=-1e300, allow_nan=False))


@given(st.lists(st.lists(SECONDS, max_size=300), min_size=1, max_size=6))
def test_pieces_read_as_one_are_all_their_numbers_in_order(pieces: list[list[float]]) -> None:
    merged = Merged([array("d", sorted(piece)) for piece in pieces])
    whole = sorted(number for piece in pieces for number in piece)
    assert [merged[rank] for rank in range(len(merged))] == whole
    if whole and whole[-1] != float("inf"):
        assert [quantile(merged, share) for share in (0, 0.5, 0.95, 1)] == [
            quantile(whole, share) for share in (0, 0.5, 0.95, 1)
        ]


@pytest.mark.parametrize("pieces", [[[1.0] * 1000], [[1.0] * 500, [1.0] * 500, [2.0]], [[0.0], [5e-324] * 999]])
def test_many_alike_come_to_an_end(pieces: list[list[float]]) -> None:
    merged = Merged([array("d", piece) for piece in pieces])
    assert [merged[rank] for rank in range(len(merged))] == sorted(number for piece in pieces for number in piece)


@given(st.lists(SECONDS, max_size=300))
def test_numbers_that_are_counted_read_as_all_of_them_in_order(numbers: list[float]) -> None:
    counted = Counted(Counter(numbers))
    assert [counted[rank] for rank in range(len(counted))] == sorted(numbers)
