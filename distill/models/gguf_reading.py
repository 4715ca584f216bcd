"""A GGUF file's header, walked through once and at the pace of arrays.

transformers opens the file three times, for tokenizer, configuration and weights. Each time gguf's reader makes several
views of a memory map for each word of the vocabulary, and views of a memory map cost ten times those of a plain array:
of a vocabulary of 262,000 words, 13 seconds a time [O, measured].
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import gguf
import numpy as np


class PlainReader(gguf.GGUFReader):
    """The library's reader, whose views are of a plain array over the same mapped bytes."""

    @property
    def data(self) -> Any:
        return self._data

    @data.setter
    def data(self, mapped: Any) -> None:
        self._data = np.asarray(mapped)


@contextmanager
def header_read_once() -> Iterator[None]:
    """Within, whoever opens a GGUF file for reading gets the one reader there is of that path.

    The file must not change meanwhile. Readers are let go at the end.
    """
    before: Any = gguf.GGUFReader
    gguf.GGUFReader = lru_cache(maxsize=None)(PlainReader)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        gguf.GGUFReader = before  # type: ignore[misc]
