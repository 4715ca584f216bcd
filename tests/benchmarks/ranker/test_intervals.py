"""Intervals over users and seeds: the fast sums equal the plain metrics, and seeds count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.ranker.intervals import Bootstrap, Draws
from prectr.rank.evaluation.protocol import Judged
from prectr.shared import metrics


def judged(seed: int, rows: int = 60, weighted: bool = False) -> Judged:
    rng = np.random.default_rng(seed)
    page = np.sort(rng.integers(0, rows // 5, rows))
    user = np.array([f"u{number}" for number in page // 2])
    clicked = (rng.random(rows) < 0.3).astype(np.uint8)
    clicked[:2] = 0, 1
    weight = rng.uniform(0.5, 2, rows) if weighted else None
    return Judged(clicked, page, user, rng.integers(-1, 4, rows), weight)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.booleans(), st.sampled_from([2, 6, 1000]))
def test_auc_of_draws_is_auc_of_the_drawn_rows(seed: int, weighted: bool, scores: int) -> None:
    one = judged(seed, weighted=weighted)
    score = np.random.default_rng(seed + 1).integers(0, scores, len(one.clicked)) / scores  # few scores: many ties
    draws = Draws.of(one, 20, "test")
    plain = one.weighted(metrics.auc_of_weights(one.clicked, score))
    expected = [plain(times[draws.user]) for times in draws.times]
    found = draws.auc(one, score)
    assert [None if np.isnan(value) else value for value in found] == [
        None if value is None else pytest.approx(value) for value in expected
    ]


def test_a_resample_draws_as_many_users_as_there_are_and_is_the_same_each_time() -> None:
    one = judged(0)
    draws = Draws.of(one, 10, "open")
    assert (draws.times.sum(1) == len(np.unique(one.user))).all()
    assert np.array_equal(draws.times, Draws.of(one, 10, "open").times)
    assert np.array_equal(draws.sums(np.ones(60)), draws.times[:, draws.user].sum(1))


class SmallProtocol:
    """What `Bootstrap` asks of a protocol."""

    rungs = [0, 3]

    def __init__(self, weighted: bool = False) -> None:
        self.sets = {"test": judged(1, weighted=weighted), "open": judged(2), "new_users": judged(3)}


def probabilities(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(0.01, 0.99, 60) for name in ("test", "open", "new_users_0", "new_users_3")}


@pytest.mark.parametrize("weighted", [False, True])
def test_every_measure_equals_the_plain_one_on_the_drawn_rows(weighted: bool) -> None:
    protocol = SmallProtocol(weighted)
    bootstrap = Bootstrap(protocol, 8, 2)  # type: ignore[arg-type]
    p = probabilities(0)
    values = bootstrap.values(p)
    test, opened = protocol.sets["test"], protocol.sets["open"]
    weight = np.ones(60) if test.weight is None else test.weight
    for number, times in enumerate(bootstrap.draws["test"].times):
        drawn = times[bootstrap.draws["test"].user]
        assert values["exposed.logloss"][number] == pytest.approx(
            metrics.logloss(test.clicked, p["test"], drawn * weight)
        )
        assert values["exposed.pcoc"][number] == pytest.approx(metrics.pcoc(test.clicked, p["test"], drawn * weight))
        page = metrics.gauc_of_weights(test.clicked, p["test"], test.page)(drawn)
        assert values["exposed.gauc_page"][number] == pytest.approx(page)
    for number, times in enumerate(bootstrap.draws["open"].times):
        drawn = times[bootstrap.draws["open"].user]
        low = metrics.excess_low_at_k_of_weights(opened.page, p["open"], opened.gold_level)(drawn)
        assert values["open.excess_low@10"][number] == pytest.approx(low)
    assert {"new_users.0", "new_users.3", "open.ndcg@10", "open.auc", "exposed.auc"} < set(values)


def test_seeds_widen_the_interval() -> None:
    """Every user agrees, seeds do not: an interval over users alone would have no width."""
    bootstrap = Bootstrap(SmallProtocol(), 200, 3)  # type: ignore[arg-type]
    right, wrong = np.ones(200), np.zeros(200)
    assert bootstrap.interval([right, wrong, right], [right] * 3) == [-1, 0]
    alone = Bootstrap(SmallProtocol(), 200, 1)  # type: ignore[arg-type]
    assert alone.interval([wrong], [right]) == [-1, -1]


def test_an_undefined_difference_has_no_interval() -> None:
    bootstrap = Bootstrap(SmallProtocol(), 5, 1)  # type: ignore[arg-type]
    assert bootstrap.interval([np.full(5, np.nan)], [np.ones(5)]) is None
