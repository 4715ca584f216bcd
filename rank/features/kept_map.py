"""A feature map that is kept from a trained ranker, for training that goes on from it. [O]

It is kept as it is, so that every number keeps its unit and every value its embedding; ids that are not in its
vocabularies stay unknown until a ranker is trained afresh.
"""

from collections.abc import Sequence

from prectr.rank.features.feature_map import FeatureMap
from prectr.shared.errors import PrectrError


def kept_feature_map(
    theirs: FeatureMap, their_levels: Sequence[str], fitted: FeatureMap, level_names: Sequence[str]
) -> FeatureMap:
    """The feature map of a trained ranker, once it is seen to fit the new days.

    Args:
        theirs, their_levels: the ranker's. fitted: what would be fitted on the new days. level_names: those of the new
            days' data set.

    Raises:
        PrectrError: other numbers, other categorical columns or other levels.
    """
    if list(level_names) != list(their_levels):
        raise PrectrError(
            f"warm start: the levels here are {', '.join(level_names)}, the ranker's {', '.join(their_levels)}: "
            "train one from the beginning."
        )
    require_same_columns("number", fitted.numeric_names, theirs.numeric_names)
    require_same_columns("categorical", fitted.categorical_names, theirs.categorical_names)
    return theirs


def require_same_columns(kind: str, now: Sequence[str], then: Sequence[str]) -> None:
    """Raises `PrectrError`, naming the first column that differs, unless both are the same in the same order."""
    if list(now) == list(then):
        return
    new, gone = ([name for name in one if name not in other] for one, other in ((now, then), (then, now)))
    found = f"{new[0]!r} is new" if new else f"{gone[0]!r} is missing" if gone else "their order is another"
    raise PrectrError(f"warm start: the {kind} columns are not the ranker's, {found}: train one from the beginning.")
