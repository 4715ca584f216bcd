"""Which features belong together: those of exact matches, of soft counts, of stage one, of query and item."""

import re

from prectr.rank.features.exact_match import NOTHING
from prectr.rank.features.soft_counts import UNLIKE_ANYTHING

SLICES = ("user", "cross")
"""Whose past a slice holds: the user's own, or other users' under the same query."""

USER, OTHERS = SLICES
_OTHER_USER_FEATURES = ("user_pages", "user_all_", "user_query_", "user_level_")
_MATCH = re.compile(rf"({'|'.join(SLICES)})_match_(item_id|text|category|cat_.+)_({'|'.join(NOTHING)})")
_TEXT = re.compile(rf"({'|'.join(SLICES)})_text_({'|'.join(UNLIKE_ANYTHING)})")
ITEM_TEXT = "item_text_pca_"
_STAGE_ONE = (
    "expected_level", "level_prob_", "level_rank", "level_gap", "top_level_ratio", "query_level_",
    "user_level_affinity", "user_level_gap",
)  # fmt: skip
NEVER_SHOWN = {
    "query_item_ctr": "item_ctr", "query_item_ctr_rank": "item_ctr_rank",
    "query_item_shown": None, "query_item_share": None,
}  # fmt: skip
"""What the features of query and item say of an item that the query has never shown: what another one says, or 0."""


def is_exact_match(name: str) -> bool:
    """Whether the feature says how often, or when, this very item or items like it were clicked: by the user, or in the
    slice of other users."""
    if name.startswith("user_"):
        return not name.startswith(_OTHER_USER_FEATURES) and not is_soft_count(name)
    return _MATCH.fullmatch(name) is not None


def is_soft_count(name: str) -> bool:
    """Whether the feature compares the candidate's text with those of past events."""
    return _TEXT.fullmatch(name) is not None


def is_item_text(name: str) -> bool:
    """Whether the feature says what the candidate's own text is."""
    return name.startswith(ITEM_TEXT)


def is_of_slice(name: str, whose: str) -> bool:
    """Whether the feature is counted in a slice, one of `SLICES`."""
    found = _MATCH.fullmatch(name) or _TEXT.fullmatch(name)
    return found is not None and found[1] == whose


def unlike_anything(name: str) -> float:
    """What a feature that is counted in a slice says of a candidate that none of its events is like."""
    if found := _MATCH.fullmatch(name):
        return NOTHING[found[3]]
    if found := _TEXT.fullmatch(name):
        return UNLIKE_ANYTHING[found[2]]
    raise ValueError(f"{name!r} is not counted in a slice.")


def is_stage_one(name: str) -> bool:
    """Whether the feature is read off stage one's P(level | query, item)."""
    return name.startswith(_STAGE_ONE)
