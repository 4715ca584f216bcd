"""Behaviour sequences for the networks: the oldest event first, -1 in front where there are fewer.

The short ones are the very slices the ranker reads. The long ones, for models made for long histories, are the same
two slices (the category's events, then all others) with more places, cut by the same rule for users made cold.
"""

from __future__ import annotations

import numpy as np

from prectr.rank.config import HistoryArguments
from prectr.rank.features.prepare import cold_cuts
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.history.log import UNCUT
from prectr.rank.history.slices import BehaviourLog, user_slices

LONG_CATEGORY = 60
LONG_OVERALL = 90


def short_history(prepared: PreparedSet) -> np.ndarray:
    """Rows of the log int32 [G, H] in the order of time; -1 first."""
    return np.sort(prepared.user_rows, axis=1)


def long_history(
    prepared: PreparedSet,
    log: BehaviourLog,
    cut: np.ndarray | int,
    in_category: int = LONG_CATEGORY,
    overall: int = LONG_OVERALL,
) -> np.ndarray:
    """As `short_history`, with `in_category` + `overall` places.

    Args:
        cut: pages of history kept, one number or one per page [G]; `history_cut` knows it.
    """
    before = log.rows_before(prepared.seconds)
    since = log.cut_since(prepared.user, before, cut)
    rows = user_slices(log, prepared.user, prepared.category, since, before, in_category, overall)
    return np.sort(rows.astype(np.int32), axis=1)


def history_cut(name: str, num_pages: int, history: HistoryArguments, seed: int) -> np.ndarray | int:
    """To how many pages the histories of a set were cut when its features were built: per page [G], or for all."""
    if name == "train":
        return cold_cuts(num_pages, history.cold_share, history.cold_lengths, seed)
    return int(name.removeprefix("new_users_")) if name.startswith("new_users_") else UNCUT
