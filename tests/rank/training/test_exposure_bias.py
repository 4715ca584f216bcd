"""Hard negatives: less relevant neighbours of the same page, lower labels, noise of the states' own size."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prectr.rank.training.exposure_bias import LEAST_FALL, draw_neighbours, lower_level, noise_like


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 0.999)), min_size=1, max_size=20))
def test_a_lowered_level_is_lower_unless_there_is_none(rows):
    level, draw = torch.tensor([r[0] for r in rows]), torch.tensor([r[1] for r in rows])
    lowered = lower_level(level, draw)
    assert ((lowered < level) | (level == 0)).all() and (lowered >= 0).all()


def test_every_lower_level_is_drawn():
    level = torch.full((300,), 3)
    assert set(lower_level(level, torch.linspace(0, 0.999, 300)).tolist()) == {0, 1, 2}


PAGES = st.lists(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1, exclude_max=True)), max_size=6), max_size=5)


@given(PAGES)
def test_a_neighbour_is_of_the_same_page_and_fits_the_query_less_or_there_is_none(pages):
    page = np.array([number for number, rows in enumerate(pages) for _ in rows], np.int64)
    if not len(page):
        return
    level, draw = (np.array([row[part] for rows in pages for row in rows]) for part in (0, 1))
    neighbour = draw_neighbours(level, page, draw)
    for row, other in enumerate(neighbour):
        assert page[other] == page[row]
        if other == row:
            lower = level[(page == page[row]) & (level < level[row] - LEAST_FALL - 1e-6)]
            assert not len(lower)
        else:
            assert level[other] < level[row] - LEAST_FALL + 1e-6


def test_every_less_relevant_candidate_of_the_page_is_drawn_and_no_other():
    level, page = np.array([2.0, 0.5, 3.0, 2.9, 1.0, 0.0]), np.array([4, 4, 4, 4, 4, 9])
    drawn = [draw_neighbours(level, page, np.full(6, draw)) for draw in np.linspace(0, 0.999, 60)]
    assert {row[2] for row in drawn} == {0, 1, 4}
    assert {row[1] for row in drawn} == {1} and {row[5] for row in drawn} == {5}


@pytest.mark.parametrize("kind", ["isotropic", "covariance"])
def test_noise_is_seeded_and_scales_with_the_states(kind):
    states = torch.randn(512, 8, generator=torch.Generator().manual_seed(0))
    noise = noise_like(states, kind, 0.5, torch.Generator().manual_seed(1))
    assert torch.equal(noise, noise_like(states, kind, 0.5, torch.Generator().manual_seed(1)))
    assert noise.std().item() == pytest.approx(0.5, rel=0.15)
