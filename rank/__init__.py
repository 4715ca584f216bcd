"""Stage two: the ranker in which relevance and click-through rate are one model, its rooms in the order data flows.

It knows stage one only as a folder on disk; nothing here imports `distill`, or of `data` more than the contract.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prectr.rank.serving.ranker import Ranker

__all__ = ["Ranker"]


def __getattr__(name: str) -> Any:
    """`from prectr import Ranker` without making every import of a part load the whole."""
    if name == "Ranker":
        from prectr.rank.serving.ranker import Ranker

        return Ranker
    raise AttributeError(f"module 'rank' has no attribute {name!r}")
