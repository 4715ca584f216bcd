"""What the report's charts show, against figures worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prectr.rank.reports.diagnostics import Mean, activity, in_top, means_by, reliability, violations
from prectr.shared.metrics import ece

pytestmark = pytest.mark.usefixtures("few_users")


def test_a_mean_with_the_interval_of_its_users() -> None:
    mean = Mean.of(np.array([0.0, 0.0, 1.0, 1.0]), np.array(["a", "a", "b", "b"]))
    assert mean.value == 0.5 and mean.n == 4
    assert mean.interval == (0.0, 1.0)  # whole users: all of one, or all of the other
    assert mean.middle == (0.0, 1.0)


def test_one_user_has_no_interval() -> None:
    assert Mean.of(np.array([0.0, 1.0]), np.array(["a", "a"])).interval is None


def test_a_group_without_rows_has_no_mean() -> None:
    means = means_by(np.array([0, 0, 2]), range(3), np.array([1.0, 3.0, 5.0]), np.array(["a", "b", "a"]))
    assert means[1] is None and means[0] is not None and means[2] is not None
    assert (means[0].value, means[2].value) == (2.0, 5.0)


@given(st.integers(1, 80), st.integers(0, 2**32 - 1))
def test_the_reliability_bins_add_up_to_ece(rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    clicked = random.integers(0, 2, rows).astype(float)
    probability = random.integers(0, 12, rows) / 12  # many ties
    bins = reliability(clicked, probability, random.integers(0, 5, rows))
    assert len(bins) == min(rows, 15) and sum(one.clicked.n for one in bins) == rows
    assert [one.predicted for one in bins] == sorted(one.predicted for one in bins)
    gaps = sum(one.clicked.n * abs(one.predicted - one.clicked.value) for one in bins)
    assert gaps / rows == pytest.approx(ece(clicked, probability))


def test_violations_are_counted_per_step_and_per_row() -> None:
    given_level = np.array([[0.1, 0.2, 0.3], [0.2, 0.1, 0.3], [0.3, 0.2, 0.1], [0.2, 0.2, 0.2]])
    assert violations(given_level) == (0.5, [0.5, 0.25])


def test_the_top_of_each_page() -> None:
    page = np.array([7, 3, 7, 3, 7])
    assert in_top(page, np.array([0.1, 0.9, 0.3, 0.5, 0.3]), top=2).tolist() == [False, True, True, True, True]
    assert in_top(page, np.array([0.3, 0.9, 0.3, 0.5, 0.3]), top=1).tolist() == [True, True, False, False, False]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_activity_classes_are_ordered_and_hold_every_row(past_pages: list[int]) -> None:
    row_class, names = activity(np.array(past_pages))
    assert sorted(set(row_class.tolist())) == list(range(len(names))) and len(names) <= 5
    order = np.argsort(past_pages, kind="stable")
    assert (np.diff(row_class[order]) >= 0).all()


def test_activity_classes_are_fifths_where_numbers_differ() -> None:
    row_class, names = activity(np.arange(10))
    assert names == ["0–1", "2–3", "4–5", "6–7", "8–9"] and np.bincount(row_class).tolist() == [2] * 5
    assert activity(np.array([4, 4, 4]))[1] == ["4"]
