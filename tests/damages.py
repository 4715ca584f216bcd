"""Kinds of damage that a file may take, by what the file holds."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from safetensors.torch import load_file, save_file


def flip(path: Path, at: float = 0.5) -> None:
    """One bit of the byte that lies `at` this share of the file."""
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 1 << 4
    path.write_bytes(content)


def reshape(path: Path) -> None:
    """What the file holds, in another shape."""
    match path.suffix:
        case ".safetensors":
            tensors = load_file(path)
            name = max(tensors, key=lambda each: tensors[each].numel())
            save_file({**tensors, name: tensors[name].reshape(-1)[:-1].clone()}, path, metadata={"format": "pt"})
        case ".npy":
            np.save(path, np.load(path)[:-1])
        case ".parquet":
            table = pq.read_table(path)
            pq.write_table(table.slice(0, max(table.num_rows - 1, 0)), path)
        case _:
            _change_json(path, lambda value: value[:-1] if isinstance(value, list) and value else None)


def rename(path: Path) -> None:
    """What the file holds, under other names or as another type."""
    match path.suffix:
        case ".safetensors":
            tensors = load_file(path)
            first, *others = tensors
            save_file({"other": tensors[first], **{name: tensors[name] for name in others}}, path)
        case ".npy":
            np.save(path, np.load(path).astype(np.complex64))
        case ".parquet":
            table = pq.read_table(path)
            pq.write_table(table.rename_columns([f"{name}_" for name in table.column_names]), path)
        case _:
            _change_json(path, lambda value: {"other": value})


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "cut by a byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "emptied": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
    "a bit flipped": flip,
    "a bit flipped near the beginning": lambda path: flip(path, 0.02),
    "of another shape": reshape,
    "of another schema": rename,
    "another file": lambda path: path.write_bytes(b"\x00\xff" * 300),
    "zeros, as after a power cut": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "longer by a line": lambda path: path.write_bytes(path.read_bytes() + b"0\n"),
    "a folder in its place": lambda path: (path.unlink(), path.mkdir()),
    "a link that leads nowhere": lambda path: (path.unlink(), path.symlink_to(path.parent / "nowhere")),
}

ABSENT = ("deleted", "a folder in its place", "a link that leads nowhere")
"""Kinds that leave no file."""


@contextmanager
def damaged(path: Path, kind: str) -> Iterator[None]:
    """Within, the file has taken a kind of damage."""
    whole = path.read_bytes()
    DAMAGES[kind](path)
    try:
        yield
    finally:
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(whole)


def is_sentence(error: BaseException) -> bool:
    """Whether an error says in one line of moderate length what is wrong."""
    return "\n" not in str(error) and 20 < len(str(error)) < 600


def _change_json(path: Path, change: Callable[[Any], Any]) -> None:
    """Changes the first value of the file that `change` changes, or all of it where it changes none."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    names = list(stored) if isinstance(stored, dict) else []
    changeable = [name for name in names if change(stored[name]) is not None and stored[name] not in ("", None)]
    if not changeable:
        path.write_text(json.dumps([stored]), encoding="utf-8")
        return
    path.write_text(json.dumps({**stored, changeable[-1]: change(stored[changeable[-1]])}), encoding="utf-8")
