"""How large a ranker is, and how long its network takes for a page. [O]

Measured is what judges the test weeks, a page at a time: network and level head, with features computed and texts
encoded before. What a request takes from end to end is another question: `python -m benchmarks.serving`.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.inputs.batch import page_batch
from prectr.rank.inputs.page_sample import pages_alone, sample_pages
from prectr.rank.model.predictor import Predictor
from prectr.rank.model.ranker_model import RankerModel

MOST_IMPRESSIONS = 600
"""Impressions of the pages that are timed."""

WARM_UP = 5
"""Pages before the clock counts."""


def size_of(model: RankerModel, folder: Path) -> dict[str, int]:
    """`encoder_parameters`, `network_parameters` (all but the encoder), and `bytes` of the weights in `folder`."""
    encoder = sum(parameter.numel() for parameter in model.encoder.parameters())
    whole = sum(parameter.numel() for parameter in model.parameters())
    weights = sum(path.stat().st_size for path in sorted(folder.rglob("*.safetensors")))
    return {"encoder_parameters": encoder, "network_parameters": whole - encoder, "bytes": weights}


def latency(predictor: Predictor, prepared: PreparedSet, seed: int, most: int = MOST_IMPRESSIONS) -> dict[str, Any]:
    """What pages of a set take one by one: `median_ms` and `p95_ms` of `pages` pages with `candidates` impressions on
    average, on `threads` threads.
    """
    rows, sample = sample_pages(prepared, most, seed)
    # Each as a set of its own: a predictor keeps what it compared of a set's texts.
    alone = [pages_alone(sample, np.array([page]))[1] for page in range(sample.num_pages)]
    seconds = []
    for page in [*alone[-WARM_UP:], *alone]:
        started = time.perf_counter()
        predictor.score(page, page_batch(page, np.arange(1), page.page_bounds(), predictor.events))
        seconds.append(time.perf_counter() - started)
    median, p95 = (np.quantile(seconds[-len(alone) :], (0.5, 0.95)) * 1000).tolist()
    return {
        "median_ms": median,
        "p95_ms": p95,
        "pages": sample.num_pages,
        "candidates": len(rows) / sample.num_pages,
        "threads": torch.get_num_threads(),
    }
