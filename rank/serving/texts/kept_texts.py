"""What an encoder makes of a catalogue's texts and of the queries of a log, beside the run: made when a ranker is first
opened to serve, memory-mapped from then on. [O]

The folder is made again when the encoder, the texts or the queries are others; what it has of them is taken over, so
that a catalogue that grew by a few items costs those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from prectr.rank.history.codes import encode
from prectr.rank.serving.texts.text_block import TEXTS_AT_ONCE, Kind, TextBlock, encoded, open_block, write_block
from prectr.shared.encoder.files import ENCODER_FILES
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import print_line
from prectr.shared.run.contents import contents_of
from prectr.shared.run.sources import code_of
from prectr.shared.run.steps import is_finished, read_record, run_step, step_fingerprint

LEARNT, JUDGED = "token_vectors", "judged_token_vectors"
"""Folders of a run: by the encoder that learnt on, and by the one that judged the log."""

SOURCES = ["prectr.rank.serving.texts.text_block"]


@dataclass(frozen=True)
class KeptTexts:
    """Item texts, numbered by their order, and queries by text."""

    items: TextBlock
    queries: TextBlock
    query_texts: Sequence[str]


def kept_texts(
    folder: Path, encoder_folder: Path, encoder: LevelEncoder, items: Sequence[str], queries: Sequence[str]
) -> KeptTexts:
    """What there is in `folder` of exactly these texts by this encoder; else it is made, and written if it can be.

    Args:
        encoder_folder: where the encoder was read from.
    """
    texts: dict[Kind, Sequence[str]] = {"item": items, "query": queries}
    inputs: dict[str, Any] = {
        "encoder": identity_of(encoder_folder),
        **{kind: _hash(of_kind) for kind, of_kind in texts.items()},
    }

    def build(work: Path) -> None:
        old = folder if _is_like(folder, inputs, code_of(build, SOURCES)) else None
        for kind, of_kind in texts.items():
            write_block(_taken_over(old, encoder, of_kind, kind), work, kind)
            pq.write_table(pa.table({"text": pa.array(of_kind, pa.string())}), work / f"{kind}.parquet")

    try:
        # Asked first: a step that is up to date says so each time.
        if not is_finished(folder, step_fingerprint(folder.name, inputs, build, SOURCES)):
            run_step(folder.name, folder, inputs, build, sources=SOURCES)
    except OSError as error:
        print_line(f"{folder} cannot be written ({error.strerror}): the texts are encoded at every opening.")
        made = {kind: TextBlock.joined(list(encoded(encoder, texts[kind], kind))) for kind in texts}
        return KeptTexts(made["item"], made["query"], queries)
    return KeptTexts(open_block(folder, "item"), open_block(folder, "query"), queries)


def identity_of(encoder_folder: Path) -> dict[str, str]:
    """sha256 of every file of an encoder's folder, by name."""
    paths = sorted(path for pattern in ENCODER_FILES for path in encoder_folder.glob(pattern))
    return {path.relative_to(encoder_folder).as_posix(): contents_of(path) for path in paths}


def _hash(texts: Sequence[str]) -> str:
    return hashlib.sha256("".join(f"{len(text)} {text}" for text in texts).encode()).hexdigest()


def _is_like(folder: Path, inputs: dict[str, object], code: dict[str, str]) -> bool:
    """Whether `folder` holds other texts by the same encoder and code."""
    with suppress(PrectrError):
        record = read_record(folder)
        return record.code == code and record.inputs.get("encoder") == inputs["encoder"]
    return False


def _taken_over(old: Path | None, encoder: LevelEncoder, texts: Sequence[str], kind: Kind) -> Iterator[TextBlock]:
    """The texts, some at a time: as `old` has them, and encoded where it has not."""
    if old is None:
        yield from encoded(encoder, texts, kind)
        return
    block = open_block(old, kind).on(encoder.device)
    known = pq.read_table(old / f"{kind}.parquet")["text"].combine_chunks()
    for start in range(0, max(len(texts), 1), TEXTS_AT_ONCE):
        some = texts[start : start + TEXTS_AT_ONCE]
        row = encode(pa.array(some, pa.string()), known).astype(np.int64)
        new = np.flatnonzero(row < 0)
        row[new] = block.size + np.arange(len(new))
        fresh = list(encoded(encoder, [some[place] for place in new.tolist()], kind))
        # Rows of the old block are taken before they are joined, so that it is never held whole.
        used = torch.from_numpy(np.unique(row[row < block.size])).to(encoder.device)
        place = np.where(row < block.size, np.searchsorted(used.cpu().numpy(), row), row - block.size + len(used))
        joined = TextBlock.joined([block.rows(used), *fresh])
        yield joined.rows(torch.from_numpy(place).to(encoder.device))
