"""The reader that is told once: the same fields and tensors as the library's own, and gone afterwards."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from prectr.distill.models.gguf_reading import header_read_once
from tests.distill.models.test_gguf_header import write_gguf


def test_fields_and_tensors_are_the_librarys(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "model.gguf", layers=2, width=16)
    expected = gguf.GGUFReader(file)
    with header_read_once():
        found = gguf.GGUFReader(file)
    assert list(found.fields) == list(expected.fields) and len(found.fields) > 3
    for name, field in expected.fields.items():
        assert found.fields[name].contents() == field.contents()
    assert [tensor.name for tensor in found.tensors] == [tensor.name for tensor in expected.tensors]
    for mine, theirs in zip(found.tensors, expected.tensors, strict=True):
        assert mine.tensor_type == theirs.tensor_type
        np.testing.assert_array_equal(mine.data, theirs.data)


def test_a_file_is_walked_through_once_and_two_files_are_two(tmp_path: Path) -> None:
    first, second = (write_gguf(tmp_path / name) for name in ("a.gguf", "b.gguf"))
    with header_read_once():
        assert gguf.GGUFReader(first) is gguf.GGUFReader(first)
        assert gguf.GGUFReader(first) is not gguf.GGUFReader(second)


def test_it_ends_with_the_block(tmp_path: Path) -> None:
    library = gguf.GGUFReader
    with pytest.raises(RuntimeError), header_read_once():
        assert gguf.GGUFReader is not library
        raise RuntimeError
    assert gguf.GGUFReader is library
