import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prectr.data.journey.draws import choose_smallest, gumbel, uniform


def test_a_draw_depends_on_its_own_keys_only() -> None:
    together = uniform(1, "noise", np.array([[5], [6]]), np.array([10, 11, 12]))
    alone = uniform(1, "noise", np.array([6]), np.array([11]))
    assert together.shape == (2, 3)
    assert together[1, 1] == alone[0]


def test_seed_name_and_order_of_keys_matter() -> None:
    key = np.arange(1000)
    base = uniform(1, "noise", key, key + 1)
    for other in (
        uniform(2, "noise", key, key + 1),
        uniform(1, "page", key, key + 1),
        uniform(1, "noise", key + 1, key),
    ):
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.15
        assert (base != other).all()


def test_draws_are_uniform() -> None:
    draws = uniform(0, "noise", np.arange(20000))
    counts = np.histogram(draws, 20, (0, 1))[0]
    # Chi-square with 19 degrees of freedom: 43.8 is exceeded once in a thousand times.
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8


@given(st.integers(-(2**62), 2**62), st.integers(0, 2**31))
def test_draws_stay_inside_the_open_interval(key: int, seed: int) -> None:
    draw = uniform(seed, "noise", np.array([key]))
    assert 0 < draw[0] < 1
    assert np.isfinite(gumbel(seed, "noise", np.array([key]))).all()


def test_gumbel_noise_draws_in_proportion_to_weights() -> None:
    weights = np.array([0.7, 0.2, 0.1])
    chosen = (np.log(weights) + gumbel(0, "choice", np.arange(20000)[:, None], np.arange(3))).argmax(1)
    assert np.abs(np.bincount(chosen) / 20000 - weights).max() < 0.012


def test_a_sample_keeps_its_members_when_rows_are_added() -> None:
    draws = uniform(0, "sample", np.arange(100))
    sample = choose_smallest(10, draws)
    assert len(sample) == 10 and (np.diff(sample) > 0).all()
    later = np.append(draws, np.ones(50))
    assert (choose_smallest(10, later) == sample).all()
    assert (choose_smallest(None, draws) == np.arange(100)).all()
    assert len(choose_smallest(0, draws)) == 0
