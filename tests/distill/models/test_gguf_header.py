"""A GGUF header that promises what the file cannot hold is refused in a sentence, before a library believes it."""

import struct
import time
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from prectr.distill.models.gguf_header import check_gguf
from prectr.distill.models.sources import find_teacher
from prectr.shared.errors import PrectrError

HUGE = 1 << 60


def write_gguf(path: Path, layers: int = 1, width: int = 8) -> Path:
    """A real one with numbers, texts, lists of both, and two tensors."""
    writer = GGUFWriter(str(path), "llama")
    writer.add_block_count(layers)
    writer.add_embedding_length(width)
    writer.add_token_list(["<s>", "shoe", "Schuh", "靴"])
    writer.add_token_scores([0.0, 1.0, 2.0, 3.0])
    writer.add_add_bos_token(True)
    writer.add_tensor("token_embd.weight", np.ones((4, 8), np.float32))
    writer.add_tensor("blk.0.attn_norm.weight", np.ones(8, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_real_file_is_read_to_the_end_of_its_header(tmp_path: Path) -> None:
    check_gguf(write_gguf(tmp_path / "model.gguf"))
    assert find_teacher(str(tmp_path / "model.gguf")).kind == "gguf"


def text(value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(value) if length is None else length) + value


def header(tensors: int, facts: int, body: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, facts) + body


def tensor(*shape: int, dimensions: int | None = None, offset: int = 0) -> bytes:
    count = len(shape) if dimensions is None else dimensions
    return text(b"t") + struct.pack(f"<I{len(shape)}QIQ", count, *shape, 0, offset)


def listed(kind: int, count: int, body: bytes = b"") -> bytes:
    return text(b"a") + struct.pack("<IIQ", 9, kind, count) + body


HEADERS = {
    "nothing behind the magic": (b"GGUF", "ends in the middle of the header"),
    "no GGUF": (b"PK\x03\x04" + bytes(100), "begins with"),
    "version 1": (header(0, 0, version=1), "version 1, and 2 and 3 are read"),
    "another byte order": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version 50331648"),
    "tensors": (header(HUGE, 0), "promises 1,152,921,504,606,846,976 tensors"),
    "entries": (header(0, HUGE), "promises 1,152,921,504,606,846,976 entries"),
    "all of them": (header(2**64 - 1, 2**64 - 1), "promises 18,446,744,073,709,551,615 tensors"),
    "a name's length": (header(0, 1, text(b"name", HUGE) + bytes(20)), "would end behind the file"),
    "a text's length": (
        header(0, 1, text(b"a") + struct.pack("<I", 8) + text(b"x", HUGE)),
        "a text of 1,152,921,504,606,846,976 bytes would end behind",
    ),
    "a list of numbers": (header(0, 1, listed(4, HUGE)), "values would end behind the file"),
    "a list of texts": (header(0, 1, listed(8, HUGE, text(b"x"))), "promises 1,152,921,504,606,846,976 texts"),
    "a list of lists": (header(0, 1, listed(9, 1, bytes(20))), "a list of type 9 is none that is known"),
    "an unknown type": (header(0, 1, text(b"a") + struct.pack("<I", 77) + bytes(9)), "a value of type 77"),
    "dimensions": (header(1, 0, tensor(dimensions=HUGE >> 30) + bytes(99)), "a tensor has 1,073,741,824 dimensions"),
    "a shape": (header(1, 0, tensor(1 << 40, 1 << 40)), "is larger than the file"),
    "an offset": (header(1, 0, tensor(2, 2, offset=HUGE)), "is larger than the file"),
    "layers": (
        header(1, 1, text(b"llama.block_count") + struct.pack("<II", 4, 10**9) + tensor(2)),
        "llama.block_count is 1000000000, which its 1 tensors do not bear out",
    ),
    "a width": (
        header(1, 1, text(b"llama.embedding_length") + struct.pack("<II", 4, 10**9) + tensor(2, 4)),
        "llama.embedding_length is 1000000000",
    ),
}


@pytest.mark.parametrize(("content", "fault"), HEADERS.values(), ids=HEADERS)
def test_impossible_counts_are_refused_in_a_sentence_at_once(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    started = time.monotonic()
    with pytest.raises(PrectrError, match=fault) as error:
        find_teacher(str(path))
    assert time.monotonic() - started < 5 and "\n" not in str(error.value)


@pytest.mark.parametrize("cut", [5, 30, 60, 100, 150, 200])
def test_a_file_that_is_cut_off_in_its_header_is_refused(tmp_path: Path, cut: int) -> None:
    whole = write_gguf(tmp_path / "whole.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[:cut])
    with pytest.raises(PrectrError, match="damaged GGUF file"):
        check_gguf(tmp_path / "cut.gguf")
