"""Hard negatives: lower labels, noise of the states' own size, and the same draws for any part of a batch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rank.hard_negatives import draw_lowered, lower_level, noise_like, toward_pair


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 0.999)), min_size=1, max_size=20))
def test_a_lowered_level_is_lower_unless_there_is_none(rows):
    level, draw = torch.tensor([r[0] for r in rows]), torch.tensor([r[1] for r in rows])
    lowered = lower_level(level, draw)
    assert ((lowered < level) | (level == 0)).all() and (lowered >= 0).all()


def test_every_lower_level_is_drawn():
    level = torch.full((300,), 3)
    assert set(lower_level(level, torch.linspace(0, 0.999, 300)).tolist()) == {0, 1, 2}


def test_a_negative_takes_its_state_from_a_pair_of_its_own_label():
    level, replay_level = torch.arange(60) % 4, torch.tensor([0, 2, 0, 2, 3])
    lowered, pair = draw_lowered(level, replay_level, seed=0, step=7)
    takes_part = lowered < level
    assert pair is not None and (replay_level[pair][takes_part] == lowered[takes_part]).all()
    # No pair is of level 1, so whoever was to fall to it takes no part; of levels 0 and 2 each pair is drawn.
    assert 1 not in lowered[takes_part] and not takes_part[level == 0].any()
    assert set(pair[takes_part].tolist()) == {0, 1, 2, 3}
    again, _ = draw_lowered(level, replay_level, seed=0, step=7)
    other, _ = draw_lowered(level, replay_level, seed=0, step=8)
    assert torch.equal(lowered, again) and not torch.equal(lowered, other)
    assert draw_lowered(level, None, seed=0, step=7)[1] is None


def test_toward_a_lower_pair_goes_the_given_share_of_the_way():
    assert torch.equal(toward_pair(torch.zeros(2, 3), torch.ones(2, 3), 0.25), torch.full((2, 3), 0.25))


@pytest.mark.parametrize("kind", ["isotropic", "covariance"])
def test_noise_is_seeded_and_scales_with_the_states(kind):
    states = torch.randn(512, 8, generator=torch.Generator().manual_seed(0))
    noise = noise_like(states, kind, 0.5, torch.Generator().manual_seed(1))
    assert torch.equal(noise, noise_like(states, kind, 0.5, torch.Generator().manual_seed(1)))
    assert noise.std().item() == pytest.approx(0.5, rel=0.15)
