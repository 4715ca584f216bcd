"""What every built data set shares: the relevance levels and how the year is split [O]."""

from __future__ import annotations

import numpy as np

LEVEL_NAMES = ("irrelevant", "related", "substitute", "exact")
IRRELEVANT, RELATED, SUBSTITUTE, EXACT = range(4)

FIRST_TRAIN, FIRST_VALIDATION, FIRST_TEST, LAST_WEEK = 9, 43, 46, 52
"""Weeks before the first are history only; every statistic and selection uses weeks before `FIRST_VALIDATION`."""

HELD_OUT_USERS = 0.10
"""Share of users never trained on: their test pages are the split `new_users`."""

HELD_OUT_WORDINGS = 0.20
"""Share of each need's wordings that occur only in test weeks, and the share of test pages that use them."""

NO_GOLD_TYPES = 0.15
"""Share of product types (of their sales) without a gold label in `pairs`: only the teacher knows them."""


def split_of_week(week: np.ndarray, held_out_user: np.ndarray) -> np.ndarray:
    """The split each page may be sampled for: train, validation, test, new_users, or '' (history only)."""
    conditions = [
        (week >= FIRST_TEST) & (week <= LAST_WEEK) & held_out_user,
        (week >= FIRST_TEST) & (week <= LAST_WEEK),
        (week >= FIRST_VALIDATION) & (week < FIRST_TEST) & ~held_out_user,
        (week >= FIRST_TRAIN) & (week < FIRST_VALIDATION) & ~held_out_user,
    ]
    return np.select(conditions, ["new_users", "test", "validation", "train"], "")
