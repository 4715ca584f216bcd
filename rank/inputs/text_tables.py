"""Which texts a batch reads, of its pages and past events, and their pooled vectors: each distinct text once."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from prectr.rank.features.frozen_vectors import ITEMS, QUERIES, unit_vectors
from prectr.rank.inputs.batch import Batch
from prectr.rank.inputs.texts import Texts
from prectr.rank.workspace import Workspace
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.storage.npy import open_array


class TextTables(nn.Module):
    """Pooled unit vectors of every query and every item text of the catalogue, for one state of the encoder.

    They have no gradient; a training whose encoder learns renews them, and a checkpoint keeps them.

    Args:
        query, item: float16 [n, V], in the order of `Texts`.
    """

    query: Tensor
    item: Tensor

    def __init__(self, query: Tensor, item: Tensor) -> None:
        super().__init__()
        self.register_buffer("query", query)
        self.register_buffer("item", item)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """What the step `text_vectors` wrote, in memory."""
        return cls(*(torch.from_numpy(np.array(open_array(folder / name))) for name in (QUERIES, ITEMS)))

    @classmethod
    def of_start(cls, workspace: Workspace, encoder: LevelEncoder, texts: Texts) -> Self:
        """By the encoder that training starts from: what the step `text_vectors` wrote, unless a warm start brings an
        encoder of its own."""
        if not workspace.run.warm_start:
            return cls.open(workspace.folder / "text_vectors")
        sides = (unit_vectors(encoder, tokens, workspace.training.bf16) for tokens in (texts.query, texts.item))
        return cls(*(torch.from_numpy(np.concatenate(list(parts))) for parts in sides))

    def fill(self, batch: Batch) -> None:
        """Give a batch the vectors of the texts that `name_texts` found."""
        batch["query_table"] = self.query[batch["query_used"]].float()
        batch["item_table"] = self.item[batch["item_used"]].float()


def with_texts(batches: Iterable[Batch], tables: TextTables | None) -> Iterator[Batch]:
    """The batches with their texts' vectors; as they are where there are no tables."""
    for batch in batches:
        if tables is not None:
            name_texts(batch)
            tables.fill(batch)
        yield batch


def name_texts(batch: Batch) -> None:
    """Number the texts of a batch's pages and past events anew, as rows of what it has of them itself."""
    user, cross = batch["user"], batch["cross"]
    places = [batch["item_text"], user["text"], cross["text"]]
    used, rows = torch.unique(torch.cat([each.flatten() for each in places]), return_inverse=True)
    own, of_user, of_cross = rows.split([each.numel() for each in places])
    batch["item_used"], batch["item_row"] = used, own
    batch["user"] = {**user, "text": of_user.view(user["text"].shape)}
    batch["cross"] = {**cross, "text": of_cross.view(cross["text"].shape)}
    batch["query_used"], batch["query_row"] = torch.unique(batch["query_text"], return_inverse=True)
