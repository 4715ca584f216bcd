"""Which features belong together: those of exact matches, of stage one, of query and item."""

_OTHER_USER_FEATURES = ("user_pages", "user_all_", "user_query_", "user_level_")
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
    """Whether the feature says how often, or when, the user clicked this very item or items like it."""
    return name.startswith("user_") and not name.startswith(_OTHER_USER_FEATURES)


def is_stage_one(name: str) -> bool:
    """Whether the feature is read off stage one's P(level | query, item)."""
    return name.startswith(_STAGE_ONE)
