"""Parts of a batch: nobody's rows are lost, and means over parts are means over the whole."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prectr.shared.training.trainer import PartSampler
from prectr.shared.training.whole_batch import batch_mean, part, rows_of_all
from tests.shared.run.launched import Launch


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Launch:
    return Launch(monkeypatch, 3)


@given(rows=st.integers(1, 40), processes=st.integers(1, 9))
def test_parts_are_the_rows_in_order_of_nearly_equal_size(rows: int, processes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        parts = Launch(patch, processes).run(lambda: part(np.arange(rows)))
    if rows < processes:
        assert all(np.array_equal(each, np.arange(rows)) for each in parts)
        return
    assert np.array_equal(np.concatenate(parts), np.arange(rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_one_process_has_everything() -> None:
    assert part([4, 2, 9]) == [4, 2, 9]
    # (2 · 1 + 4 · 3) / 4
    assert batch_mean(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 3.0])).item() == 3.5
    assert batch_mean(torch.tensor([2.0, 4.0])).item() == 3.0
    assert batch_mean(torch.tensor([2.0]), torch.zeros(1)).item() == 0.0


@pytest.mark.parametrize("rows", [10, 2])
def test_the_mean_over_parts_is_the_mean_over_the_whole(launch: Launch, rows: int) -> None:
    values, weight = torch.arange(rows) ** 2.0, torch.arange(rows) % 4.0

    def means() -> torch.Tensor:
        own = torch.from_numpy(part(np.arange(rows)))
        return torch.stack([batch_mean(values[own]), batch_mean(values[own], weight[own])])

    parts = launch.run(means)
    assert torch.allclose(torch.stack(parts).mean(0), means())
    assert rows < 3 or not torch.allclose(parts[0], parts[1]), "parts differ, or nothing is shown"


@pytest.mark.parametrize("rows", [10, 2])
def test_every_process_sees_the_rows_of_all(launch: Launch, rows: int) -> None:
    values = torch.randn(rows, 3)

    def all_rows() -> torch.Tensor:
        place = torch.from_numpy(part(np.arange(rows)))
        return rows_of_all(values[place], place, rows)

    assert all(torch.allclose(found, values) for found in launch.run(all_rows))


def test_a_batch_of_the_sampler_is_split_and_none_is_lost(launch: Launch) -> None:
    def batches() -> list[list[int]]:
        return list(PartSampler(range(11), 5, drop_last=False))  # type: ignore[arg-type]

    parts = launch.run(batches)
    assert [sorted(sum(split, [])) for split in zip(*parts, strict=True)][:2] == batches()[:2]
    assert [each[2] for each in parts] == [[10]] * 3, "a batch of fewer rows than processes goes to all of them"
