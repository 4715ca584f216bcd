"""A training batch that the processes of a launch share: who takes which rows, and means over all of them.

DistributedDataParallel averages gradients over processes. That is the gradient of the whole batch's loss only if every
process's loss is its part of the sum, divided by the whole batch's count and multiplied by the number of processes:
parts differ in size, and each term of a loss counts rows of its own. So losses take their means here, and a run of
several processes learns what a run of one does.
"""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from prectr.shared.run.launch import num_processes, rank

Rows = TypeVar("Rows", list[int], np.ndarray)


def part(rows: Rows) -> Rows:
    """This process's share of a batch's rows, neighbours together.

    Where there are fewer rows than processes each takes all of them, which leaves every mean as it is.
    """
    count = num_processes()
    if len(rows) < count:
        return rows
    return rows[len(rows) * rank() // count : len(rows) * (rank() + 1) // count]


def part_of_groups(rows: list[int], group: np.ndarray) -> list[int]:
    """As `part`, for a loss that compares rows of one group: no group is torn, the rows are put together by group.

    Where the batch has fewer groups than there are processes each takes all of it, which leaves every mean as it is.

    Args:
        rows: of the batch. group: [n] the group of every row there is.
    """
    if num_processes() == 1:
        return rows
    together = sorted(rows, key=group.__getitem__)
    starts = [0, *(np.flatnonzero(np.diff(group[together])) + 1).tolist(), len(together)]
    mine = part(list(range(len(starts) - 1)))
    return together[starts[mine[0]] : starts[mine[-1] + 1]]


def batch_mean(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """The mean over the whole batch of `values` [b], given this process's rows; averaged over the processes it is that
    mean, and its gradient that mean's gradient.

    Args:
        weight: how much each value counts, of the same shape, at least 0; None: all alike. If all of it is 0 the mean
            is 0.
    """
    if num_processes() == 1:
        return values.mean() if weight is None else (values * weight).sum() / weight.sum().clamp(min=1e-6)
    weight = torch.ones_like(values) if weight is None else weight
    total = (values * weight).sum()
    return total * num_processes() / sum_of_all(weight.detach().sum().float()).clamp(min=1e-6)


def sum_of_all(values: Tensor) -> Tensor:
    """The sum of the processes' tensors of one shape; no gradient goes through it."""
    if num_processes() > 1:
        values = values.detach().clone()
        torch.distributed.all_reduce(values)
    return values


def rows_of_all(values: Tensor, place: Tensor, size: int) -> Tensor:
    """The whole batch's rows [size, …], without gradient, from this process's [b, …], which stand at `place` [b]."""
    if num_processes() == 1:
        return values.detach()
    found = values.new_zeros(size, *values.shape[1:])
    times = values.new_zeros(size)
    found[place], times[place] = values.detach(), 1.0
    times = sum_of_all(times)
    return sum_of_all(found) / times.view(-1, *[1] * (values.ndim - 1))
