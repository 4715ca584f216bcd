"""Arrays written part by part are the files that numpy writes."""

import numpy as np
import pytest

from prectr.shared.storage.npy import NpyWriter, open_array


@pytest.mark.parametrize("dtype", [np.float16, np.int64, np.uint8])
@pytest.mark.parametrize("width", [(), (3,), (0,)])
def test_the_file_is_the_one_that_numpy_writes(tmp_path, dtype, width):
    whole = np.random.default_rng(0).integers(0, 9, (1234, *width)).astype(dtype)
    with NpyWriter(tmp_path / "parts.npy", dtype, width) as writer:
        for part in np.array_split(whole, [0, 5, 1000]):
            writer.append(part)
    np.save(tmp_path / "whole.npy", whole)
    assert (tmp_path / "parts.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert np.array_equal(open_array(tmp_path / "parts.npy"), whole)


def test_an_empty_file_and_rows_of_another_width(tmp_path):
    with NpyWriter(tmp_path / "none.npy", np.int32) as writer:
        pass
    assert open_array(tmp_path / "none.npy").shape == (0,)
    with NpyWriter(tmp_path / "two.npy", np.int32, (2,)) as writer, pytest.raises(ValueError, match="shape"):
        writer.append(np.zeros((4, 3)))
