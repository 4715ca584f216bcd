"""What is wrong with a data set: each defect a sentence, and all of them one error."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prectr.data.contract import SCHEMAS, table_path
from prectr.shared.errors import PrectrError

SHOWN = 5
"""So many defects are told when a stage stops at them; `python -m data check` tells all."""

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80


@dataclass(frozen=True)
class Defect:
    """One kind of thing wrong with one table. `said`: where, what was found, what to do; without the file."""

    table: str
    said: str

    @classmethod
    def of_rows(cls, table: str, column: str, row: int, rows: int, found: Any, remedy: str) -> Defect:
        """Of `rows` rows, the first of which (from 0) holds `found`."""
        more = f" (and {rows - 1:,} more)" if rows > 1 else ""
        return cls(table, f"{column}, row {row}{more}: found {shown(found)}: {remedy}")


def shown(value: Any) -> str:
    """A value on one line, its middle left out where it is long."""
    return _short.repr(value)


class DataError(PrectrError):
    """All that is wrong with a data set: one sentence for one defect, else a list by table.

    Args:
        at_most: how many are told; None: all.
    """

    def __init__(self, folder: Path, defects: Sequence[Defect], at_most: int | None = None) -> None:
        order = list(SCHEMAS)
        self.defects = sorted(defects, key=lambda defect: order.index(defect.table))
        super().__init__(_text(folder, self.defects, at_most))


def _text(folder: Path, defects: Sequence[Defect], at_most: int | None) -> str:
    if len(defects) == 1:
        said = defects[0].said
        return f"{table_path(folder, defects[0].table)}{' ' if said.startswith('is ') else ': '}{said}"
    lines = [f"{folder} breaks the contract in {len(defects)} ways:"]
    told = defects[:at_most]
    for number, defect in enumerate(told):
        if number == 0 or defect.table != told[number - 1].table:
            lines.append(f"{table_path(folder, defect.table).name}")
        lines.append(f"  {defect.said}")
    if len(told) < len(defects):
        lines.append(f"and {len(defects) - len(told)} more: `python -m data check {folder}` tells all.")
    return "\n".join(lines)
