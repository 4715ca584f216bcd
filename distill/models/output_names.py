"""Which output of a cross-encoder is which level: by the names its config gives them (`id2label`)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from prectr.distill.models.sources import Source
from prectr.shared.errors import PrectrError


def output_names(listed: Mapping[Any, Any] | None) -> tuple[str, ...] | None:
    """The names of outputs 0, 1, … in an `id2label`; None where it gives none of its own: LABEL_0, or numbers that only
    count.
    """
    if not isinstance(listed, Mapping):
        return None
    try:
        by_output = {int(output): str(name) for output, name in listed.items()}
    except ValueError:
        return None
    names = tuple(by_output.get(output, "") for output in range(len(by_output)))
    counted = all(
        _same(name) in (f"label {output}", f"level {output}", str(output)) for output, name in enumerate(names)
    )
    return None if counted else names


def output_order(source: Source, level_names: Sequence[str], told: Sequence[str]) -> list[int] | None:
    """The output of each level, lowest first, of a cross-encoder of K outputs; None where output k is level k.

    Args:
        level_names: of the data, lowest level first.
        told: the model's own names for these levels, lowest first, where they are others.

    Raises:
        PrectrError: its outputs are called otherwise, and nobody said what they mean.
    """
    names = output_names(source.labels)
    if source.role != "cross_encoder" or source.outputs != len(level_names) or names is None:
        return None
    outputs = {_same(name): output for output, name in enumerate(names)}
    for wanted in (level_names, told):
        found = [outputs.get(_same(name)) for name in wanted]
        if len(outputs) == len(set(found)) == len(names) and None not in found:
            order = [output for output in found if output is not None]
            return None if order == sorted(order) else order
    raise PrectrError(
        f"teacher {source.name}: its outputs are called {', '.join(map(repr, names))}, the data's levels "
        f"{', '.join(map(repr, level_names))}; give the outputs' names in the order of the levels, lowest first "
        f"(--level_names {' '.join(map(repr, names))}, put in order), or teach it (teacher_pairs above 0)."
    )


def _same(name: str) -> str:
    """What names are compared by: letters of either case, blanks, hyphens and underscores alike."""
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", name)).strip().casefold()
