"""Packed rows: every prompt whole, in order, blind to the others, and few tokens wasted."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prectr.distill.teachers.packing import ROW_LENGTH, packed_passes, padded_passes

FILLER = 0
TOKENS = st.integers(1, 50)
PROMPTS = st.lists(
    st.tuples(st.lists(TOKENS, max_size=3), st.lists(TOKENS, min_size=1, max_size=60)), min_size=1, max_size=40
)


@given(PROMPTS, st.integers(1, 4))
def test_every_prompt_sees_itself_in_order_and_nothing_else(prompts: list, rows_per_pass: int) -> None:
    seen = []
    for one in packed_passes(prompts, rows_per_pass, FILLER):
        assert one.position is not None and one.visible is not None
        assert len(one.ids) <= rows_per_pass and one.ids.shape[1] == ROW_LENGTH
        assert one.visible.any(2).all()
        for index, row, last in zip(one.prompts, one.row, one.last, strict=True):
            beginning, ending = prompts[index]
            columns = np.flatnonzero(one.visible[row, last])
            assert one.ids[row, columns].tolist() == [*beginning, *ending]
            assert one.position[row, columns].tolist() == list(range(len(columns)))
            # What it sees saw nothing that it does not see.
            assert not one.visible[row][columns][:, np.setdiff1d(np.arange(ROW_LENGTH), columns)].any()
        seen += one.prompts.tolist()
    assert sorted(seen) == list(range(len(prompts)))


@given(PROMPTS)
def test_tokens_are_those_that_are_not_padding(prompts: list) -> None:
    for one in packed_passes(prompts, 2, FILLER):
        assert one.tokens == (one.ids != FILLER).sum()
    padded = list(padded_passes([[*beginning, *ending] for beginning, ending in prompts], 4, FILLER))
    assert sum(one.tokens for one in padded) == sum(len(beginning) + len(ending) for beginning, ending in prompts)


def test_what_prompts_begin_with_stands_once_in_a_row() -> None:
    prompts = [([7, 8, 9], [index]) for index in range(1, 7)]
    (one,) = packed_passes(prompts, 4, FILLER)
    assert one.tokens == 3 + 6 and one.ids[0, :9].tolist() == [7, 8, 9, 1, 2, 3, 4, 5, 6]


def test_a_prompt_longer_than_a_row_makes_the_rows_longer() -> None:
    (one,) = packed_passes([([1] * 100, [2] * 100), ([3], [4])], 4, FILLER)
    assert one.ids.shape == (2, 200)


def test_rows_are_spread_evenly_over_the_passes() -> None:
    prompts = [([index], [1] * 100) for index in range(9)]
    assert [len(one.ids) for one in packed_passes(prompts, 4, FILLER)] == [3, 3, 3]


def test_few_tokens_are_padding() -> None:
    random = np.random.default_rng(0)
    prompts = [([query] * 8, [1] * int(random.integers(10, 40))) for query in range(50) for _ in range(5)]
    passes = list(packed_passes(prompts, 8, FILLER))
    assert sum(one.tokens for one in passes) / sum(one.ids.size for one in passes) > 0.9
