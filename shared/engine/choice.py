"""Which engine a setting names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # settings are read before anything else is loaded
    from prectr.shared.engine.job import Engine

EngineName = Literal["plain", "ray"]
HELP = "plain: one process; ray: parts of steps on the cluster at RAY_ADDRESS, else on all cores of this machine"


def open_engine(name: EngineName, workers: int | None = None) -> Engine:
    """The engine of that name; Ray is imported, and a cluster looked for, only for `ray`.

    Args:
        workers: of a cluster that is started here, whatever RAY_ADDRESS says; None: that one, or one worker per core.

    Raises:
        PrectrError: no cluster answers at RAY_ADDRESS, or it runs another version.
        ModuleNotFoundError: Ray is not installed; `prectr.shared.extras` has the sentence.
    """
    if name == "plain":
        from prectr.shared.engine.plain import PLAIN

        return PLAIN
    from prectr.shared.engine.ray import RayEngine

    return RayEngine(workers)
