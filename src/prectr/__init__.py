"""prectr: a search ranker in which relevance and click-through rate are one model (PRECTR-V2).

    from prectr import Ranker, LevelEncoder

The folders `data/`, `distill/`, `rank/` and `shared/` of the checkout are this package's: `prectr.rank` is `rank/`.
Here lie only links to them, so that editable installs, type checkers and editors see the names that a wheel has.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prectr.rank.serving.ranker import Ranker
    from prectr.shared.encoder.level_encoder import LevelEncoder

__all__ = ["LevelEncoder", "Ranker"]

_HOMES = {"Ranker": "prectr.rank.serving.ranker", "LevelEncoder": "prectr.shared.encoder.level_encoder"}


def __getattr__(name: str) -> Any:
    """Each public name is imported when it is asked for, so that importing prectr loads no library."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'prectr' has no attribute {name!r}")
