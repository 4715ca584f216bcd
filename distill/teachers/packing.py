"""How prompts are laid out for a causal model: one to a row and padded, or many to a row and masked from each other.

A packed row holds groups of prompts. The prompts of a group begin alike (the same query), and what they begin with
stands there once; behind it come their endings (the items), each blind to the other endings and numbered as if it alone
followed. Nothing in a row sees another group. So a row is full whatever the prompts' lengths, and a query is read once
for all its items [O].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from prectr.distill.teachers.prompt import pad, padded_length

Tokens = Sequence[int]
Split = tuple[Tokens, Tokens]
"""A prompt as (beginning it may share, ending); the ending is not empty."""

ROW_LENGTH = 128
"""Tokens of a packed row: longer ones have less room left over, but more masked-out attention to compute."""


@dataclass(frozen=True)
class Pass:
    """B rows of L tokens for one forward pass; prompt `prompts[i]` ends at `ids[row[i], last[i]]`."""

    ids: np.ndarray  # [B, L] int64
    prompts: np.ndarray  # [n]
    row: np.ndarray  # [n]
    last: np.ndarray  # [n]
    tokens: int  # of the B · L those that are not padding
    position: np.ndarray | None = None  # [B, L]; None: counted from the left
    visible: np.ndarray | None = None  # [B, L, L] bool, which tokens each token sees; None: all to its left


def padded_passes(prompts: Sequence[Tokens], batch_size: int, filler: int) -> Iterator[Pass]:
    """Prompts of one padded length together; the last pass of a length is filled up by repetition, so that few shapes
    occur.
    """
    lengths = np.array([padded_length(len(prompt)) for prompt in prompts])
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        for start in range(0, len(rows), batch_size):
            chosen = rows[start : start + batch_size]
            ids, last = pad([prompts[row] for row in np.resize(chosen, batch_size).tolist()], int(length), filler)
            n = len(chosen)
            yield Pass(ids, chosen, np.arange(n), last[:n], tokens=int(last[:n].sum()) + n)


def packed_passes(prompts: Sequence[Split], rows_per_pass: int, filler: int) -> Iterator[Pass]:
    """Packed rows, spread evenly over as few passes as hold them."""
    longest = max((len(beginning) + len(ending) for beginning, ending in prompts), default=0)
    length = max(ROW_LENGTH, padded_length(longest))
    rows = _fill_rows(_cut_groups(prompts, length), length)
    for start, end in _spread(len(rows), rows_per_pass):
        yield _lay_out(rows[start:end], prompts, length, filler)


@dataclass(frozen=True)
class _Group:
    """Prompts that begin alike and go into one row; `size` tokens."""

    beginning: Tokens
    members: list[int]
    size: int


def _cut_groups(prompts: Sequence[Split], length: int) -> list[_Group]:
    """Prompts that begin alike, as many together as a row holds."""
    alike: dict[tuple[int, ...], list[int]] = {}
    for index, (beginning, _) in enumerate(prompts):
        alike.setdefault(tuple(beginning), []).append(index)
    groups = []
    for beginning, indices in alike.items():
        left = sorted(indices, key=lambda index: -len(prompts[index][1]))
        while left:
            members, passed_over, size = [], [], len(beginning)
            for index in left:
                ending = len(prompts[index][1])
                if size + ending <= length:
                    members.append(index)
                    size += ending
                else:
                    passed_over.append(index)
            groups.append(_Group(beginning, members, size))
            left = passed_over
    return groups


def _fill_rows(groups: Sequence[_Group], length: int) -> list[list[_Group]]:
    """First fit, the largest group first: within 22 % of the fewest rows possible."""
    rows: list[list[_Group]] = []
    room: list[int] = []
    for group in sorted(groups, key=lambda group: -group.size):
        fitting = next((row for row, free in enumerate(room) if group.size <= free), None)
        if fitting is None:
            rows.append([group])
            room.append(length - group.size)
        else:
            rows[fitting].append(group)
            room[fitting] -= group.size
    return rows


def _spread(count: int, most: int) -> Iterator[tuple[int, int]]:
    """The bounds of ceil(count / most) slices of nearly equal size."""
    ends = np.linspace(0, count, -(-count // most) + 1).round().astype(int)
    yield from zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)


def _lay_out(rows: Sequence[Sequence[_Group]], prompts: Sequence[Split], length: int, filler: int) -> Pass:
    shape = (len(rows), length)
    ids, position = np.full(shape, filler, np.int64), np.zeros(shape, np.int64)
    # Padding is a group of its own (0), so that every token sees at least itself.
    group_of, ending_of = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    found: list[tuple[int, int, int]] = []
    tokens = 0
    for row, groups in enumerate(rows):
        at = 0
        for number, group in enumerate(groups, start=1):
            head = len(group.beginning)
            ids[row, at : at + head], position[row, at : at + head] = group.beginning, np.arange(head)
            group_of[row, at : at + group.size] = number
            tokens += group.size
            at += head
            for index in group.members:
                ending = prompts[index][1]
                end = at + len(ending)
                ids[row, at:end], position[row, at:end] = ending, head + np.arange(len(ending))
                ending_of[row, at:end] = index + 1
                found.append((index, row, end - 1))
                at = end
    same_group = group_of[:, :, None] == group_of[:, None, :]
    same_ending = (ending_of[:, None, :] == 0) | (ending_of[:, None, :] == ending_of[:, :, None])
    visible = same_group & same_ending & np.tri(length, dtype=bool)
    index, row, last = np.array(found).T
    return Pass(ids, index, row, last, tokens, position, visible)
