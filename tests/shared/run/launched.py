"""The processes of a launch, one after the other in this one: for sums over parts of a batch, in an instant."""

from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from prectr.shared.training import whole_batch

T = TypeVar("T")


class Launch:
    """Each process runs twice: to say what it adds to every sum, and, once all have, to hear the sums.

    Args:
        depth: how many sums stand behind one another, each of what came of the one before.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, processes: int, depth: int = 1) -> None:
        self.monkeypatch, self.processes, self.depth = monkeypatch, processes, depth
        self.said: list[Tensor] = []
        self.heard: list[Tensor] | None = None

    def sum_of_all(self, values: Tensor) -> Tensor:
        """In the place of `whole_batch.sum_of_all`."""
        self.said.append(values.detach().clone())
        return values.detach() if self.heard is None else self.heard.pop(0)

    def run(self, work: Callable[[], T]) -> list[T]:
        """What `work` returns in each of the processes."""
        found: list[T] = []
        with self.monkeypatch.context() as patch:
            patch.setattr(whole_batch, "sum_of_all", self.sum_of_all)
            patch.setenv("WORLD_SIZE", str(self.processes))
            sums: list[Tensor] | None = None
            for _ in range(self.depth + 1):
                found, parts = [], []
                for rank in range(self.processes):
                    patch.setenv("RANK", str(rank))
                    self.said, self.heard = [], None if sums is None else list(sums)
                    found.append(work())
                    parts.append(self.said)
                sums = [torch.stack(values).sum(0) for values in zip(*parts, strict=True)]
            self.heard = None
        return found


def gradients(model: nn.Module, loss: Callable[[], Tensor]) -> dict[str, Tensor]:
    """The loss, and its gradient by every parameter that has one."""
    model.zero_grad()
    value = loss()
    value.backward()
    named = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return {"loss": value.detach(), **named}


def assert_parts_make_the_whole(launch: Launch, work: Callable[[], dict[str, Tensor]]) -> None:
    """Averaged over the processes, as DistributedDataParallel does, `work` returns what it returns in one process."""
    whole, parts = work(), launch.run(work)
    assert len(whole) > 5
    for name, value in whole.items():
        mean = torch.stack([part.get(name, torch.zeros_like(value)) for part in parts]).mean(0)
        rounding = 1e-6 + 5e-5 * value.abs().max().item()
        assert torch.allclose(mean, value, rtol=1e-4, atol=rounding), name
