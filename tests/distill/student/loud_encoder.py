"""A tiny untrained text encoder whose layers change what they are given."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModel

from prectr.distill.models.random_models import random_text_encoder


def loud_text_encoder(folder: Path, words: Sequence[str]) -> None:
    """Writes one of seed 0 to `folder`. Freshly drawn weights are too small for a token to hear of the others."""
    random_text_encoder(folder, words, seed=0)
    model = AutoModel.from_pretrained(folder)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight.mul_(10)
    model.save_pretrained(folder)
