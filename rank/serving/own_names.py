"""A request in the shop's own words: what `data convert` was told a column is called is read as that column. [O]

A name of the contract always means the contract's column; another name means what the conversion said, and the slip of
one is refused.
"""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from prectr.rank.serving.given import CLOSE
from prectr.shared.errors import PrectrError
from prectr.shared.values.missing import is_missing


class OwnNames:
    """
    Args:
        names: column of the contract -> what the shop calls it: names, or paths such as `price.amount`. Of several the
            first that is given counts; those of `text` are joined with blanks, as the conversion joined them.
    """

    def __init__(self, names: Mapping[str, Sequence[str]] | None = None) -> None:
        self.names = {column: list(of) for column, of in (names or {}).items()}

    def read(self, given: Mapping[str, Any], columns: Collection[str], where: str = "") -> dict[str, Any]:
        """What was given, under the names of the contract; what is neither's stays as it is.

        Args:
            columns: of the contract, that may be given here. where: for messages.

        Raises:
            PrectrError: the slip of an own name, or a column under both its names.
        """
        own = {column: of for column, of in self.names.items() if column in columns}
        before = f"{where}: " if where else ""
        self._refuse_slips(given, columns, own, before)
        read, taken = dict(given), set[str]()
        for column, names in own.items():
            found = {name: value for name in names for value in _at(given, name) if name not in columns}
            if not found:
                continue
            if column in given:
                raise PrectrError(f"{before}{next(iter(found))!r} and {column!r} say the same: give one of them.")
            taken |= {name if name in given else name.partition(".")[0] for name in found}
            present = [value for value in found.values() if not (_is_scalar(value) and is_missing(value))]
            joined = column == "text" and len(present) > 1
            read[column] = " ".join(map(str, present)) if joined else next(iter(present), None)
        return {name: value for name, value in read.items() if name not in taken or name in columns}

    def in_table(self, found: Collection[str], columns: Collection[str], where: str) -> dict[str, str]:
        """What a table calls each of the columns that it has: column -> name.

        Args:
            found: the table's names. columns: of the contract, that are looked for. where: for messages.

        Raises:
            PrectrError: it has a column under both its names.
        """
        called = {}
        for column in columns:
            own = [name for name in self.names.get(column, ()) if name in found and name not in columns]
            if own and column in found:
                raise PrectrError(f"{where}: columns {own[0]!r} and {column!r} say the same: keep one of them.")
            if own or column in found:
                called[column] = own[0] if own else column
        return called

    def told(self, column: str) -> str:
        """A column for messages, with what the shop calls it: `'text' (here 'title' and 'brand')`."""
        own = [name for name in self.names.get(column, ()) if name != column]
        return f"{column!r} (here {' and '.join(map(repr, own))})" if own else repr(column)

    @staticmethod
    def _refuse_slips(
        given: Mapping[str, Any], columns: Collection[str], own: Mapping[str, Sequence[str]], before: str
    ) -> None:
        called = {name.partition(".")[0] for names in own.values() for name in names} | {
            name for names in own.values() for name in names
        }
        absent = sorted(called - set(given) - set(columns))
        for key in given:
            if isinstance(key, str) and key not in called and key not in columns:
                near = difflib.get_close_matches(key, absent, 1, cutoff=CLOSE)
                if near:
                    raise PrectrError(f"{before}{key!r} is no name of this shop's: is it {near[0]!r}? If so rename it.")


CONTRACT = OwnNames()
"""No names but the contract's."""


def _at(given: Mapping[str, Any], name: str) -> Iterator[Any]:
    """The value under a name, or at a path; none where there is none."""
    if name in given:
        yield given[name]
        return
    value: Any = given
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return
        value = value[part]
    yield value


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)
