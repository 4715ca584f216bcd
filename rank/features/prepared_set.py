"""The prepared features of one split: a file per field, opened memory-mapped."""

from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from prectr.shared.seeds import generator
from prectr.shared.storage.npy import NpyWriter, open_array

ROWS_AT_ONCE = 1 << 20  # of what is summed over all rows
OF_PAGES = frozenset({"user", "query", "category", "seconds", "user_rows", "cross_rows", "cross_depth"})
"""The fields with a row per page; the others have one per impression."""


@dataclass
class PreparedSet:
    """The impressions of one split, everything known about them before the network: n impressions on G pages.

    Kept as one .npy file per field, so that a set is opened memory-mapped.
    """

    impression: np.ndarray  # [n] int64, row in the impressions table
    numeric: np.ndarray  # [n, F] float32, hand-made features, standardised
    categorical: np.ndarray  # [n, C] int32
    clicked: np.ndarray  # [n] uint8
    level_prob: np.ndarray  # [n, K] float32, stage one's
    query_text: np.ndarray  # [n] int32, row of `Texts.query`
    item_text: np.ndarray  # [n] int32, row of `Texts.item`
    page: np.ndarray  # [n] int32, ascending 0 … G − 1
    user: np.ndarray  # [G] int32, code in the log; -1 unknown
    query: np.ndarray  # [G] int32, code in the log; -1 unknown
    category: np.ndarray  # [G] int32, the query's category in the log; -1 unknown
    seconds: np.ndarray  # [G] int64, when the page was shown
    user_rows: np.ndarray  # [G, H] int32, rows of the log, -1 where there is no event
    cross_rows: np.ndarray  # [G, X] int32
    cross_depth: np.ndarray  # [G] int8: 0 the query's own events, 1 backed off to its category, 2 none
    position: np.ndarray | None = None  # [n] int32, place on the page from 0, -1 unknown; no feature, training's alone
    weight: np.ndarray | None = None  # [n] float32, how much each impression counts; None: all alike

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for item in fields(self):
            if (array := getattr(self, item.name)) is not None:
                np.save(folder / f"{item.name}.npy", array)

    @classmethod
    def open(cls, folder: Path) -> "PreparedSet":
        paths = {item.name: folder / f"{item.name}.npy" for item in fields(cls)}
        given = {name for name, path in paths.items() if path.exists() or name not in ("position", "weight")}
        return cls(**{name: open_array(path) for name, path in paths.items() if name in given})

    def __len__(self) -> int:
        return len(self.page)

    @property
    def num_pages(self) -> int:
        return len(self.seconds)

    def page_bounds(self) -> np.ndarray:
        """[G + 1] first impression of each page, and the end."""
        return np.searchsorted(self.page, np.arange(self.num_pages + 1))

    def full_log_weight(self, negative_sampling_rate: float) -> np.ndarray | None:
        """How much each impression counts in the full log [n]: its weight, divided by the share that was kept if it
        is unclicked; None: all alike. Metrics of a thinned log that are weighted so are those of the full log."""
        if self.weight is None and negative_sampling_rate == 1:
            return None
        weight = np.ones(len(self)) if self.weight is None else self.weight.astype(np.float64)
        return np.where(self.clicked == 1, weight, weight / negative_sampling_rate)

    def click_rate(self, negative_sampling_rate: float) -> float:
        """The click-through rate of the full log."""
        clicks = total = 0.0
        for start in range(0, len(self), ROWS_AT_ONCE):
            part = self.take(slice(start, start + ROWS_AT_ONCE))
            weight = part.full_log_weight(negative_sampling_rate)
            clicks += float(part.clicked.sum() if weight is None else weight[part.clicked == 1].sum())
            total += float(len(part) if weight is None else weight.sum())
        return clicks / total

    def take(self, rows: np.ndarray | slice) -> "PreparedSet":
        """Those impressions, with all pages."""
        arrays = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in OF_PAGES}
        return replace(self, **{name: array[rows] for name, array in arrays.items() if array is not None})

    def sample(self, most: int, seed: int) -> np.ndarray:
        """Rows [m ≤ most] drawn at random, ascending: all where there are no more. What is fitted on is read so."""
        if len(self) <= most:
            return np.arange(len(self))
        return np.sort(generator(seed, "sample of rows").choice(len(self), most, replace=False, shuffle=False))


class PreparedWriter:
    """The files of a prepared set, to which sets of later and later pages are appended."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._files, self._pages, self._stack = folder, dict[str, NpyWriter](), 0, ExitStack()
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, part: PreparedSet) -> None:
        for item in fields(part):
            values = getattr(part, item.name)
            if values is None:
                continue
            if item.name not in self._files:
                file = NpyWriter(self._folder / f"{item.name}.npy", values.dtype, values.shape[1:])
                self._files[item.name] = self._stack.enter_context(file)
            self._files[item.name].append(values + self._pages if item.name == "page" else values)
        self._pages += part.num_pages

    def __enter__(self) -> "PreparedWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]
