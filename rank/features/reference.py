"""What a ranker's inputs looked like in training, kept beside its weights so that a newer log can be compared.

Of every input the shares of the training rows in at most eleven bins, and nothing about any row. Rows whose history was
cut for training are left out: a newer log holds whole histories.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from prectr.rank.config import HistoryArguments
from prectr.rank.features.feature_map import UNKNOWN, FeatureMap
from prectr.rank.features.prepare import cold_cuts
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.history.log import UNCUT
from prectr.shared.atomic import atomic_write
from prectr.shared.run.schema import member, parsed, read_versioned, versioned

REFERENCE = "reference.json"  # beside the ranker's weights
SCHEMA_VERSION = 1
DECILES = np.linspace(0.1, 0.9, 9)
MOST_VALUES = 10  # of a categorical, its most frequent values have a bin each, the others one together
SAMPLED_ROWS = 1 << 20  # of the training rows, at most
FLOOR = 1e-4  # an empty bin counts as this share, so that the index stays finite


@dataclass(frozen=True)
class Bins:
    """How one input is distributed: bin b holds what is above edges[b − 1] and up to edges[b].

    A number is binned by the deciles of the training rows (equal ones once), in the network's units; a categorical by
    its codes, of which 0 is the unknown value.
    """

    edges: list[float]  # [b], ascending
    shares: list[float]  # [b + 1], of the training rows
    mean: float  # of the training rows

    @classmethod
    def of(cls, values: np.ndarray, edges: np.ndarray) -> "Bins":
        counts = count(values, edges)
        return cls([float(edge) for edge in edges], (counts / counts.sum()).tolist(), float(values.mean()))

    def psi(self, counts: np.ndarray) -> float:
        """Population stability index against rows of which `counts` [b + 1] are in each bin: Σ (q − p) · ln(q / p)."""
        p, q = (np.maximum(shares, FLOOR) for shares in (np.array(self.shares), counts / counts.sum()))
        return float(((q - p) * np.log(q / p)).sum())


def count(values: np.ndarray, edges: list[float] | np.ndarray) -> np.ndarray:
    """How many of the values [n] are in each bin: int64 [b + 1]."""
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)


@dataclass(frozen=True)
class Reference:
    """The training rows with whole histories: how many, their click-through rate, mean π of stage one, and inputs."""

    rows: int
    ctr: float
    level_prob: list[float]  # [K]
    numeric: dict[str, Bins]
    categorical: dict[str, Bins]

    @classmethod
    def of(
        cls,
        prepared: PreparedSet,
        feature_map: FeatureMap,
        history: HistoryArguments,
        seed: int,
        negative_sampling_rate: float,
    ) -> "Reference":
        """
        Args:
            prepared: the training set. history, seed: what decided which of its pages had their history cut.
            negative_sampling_rate: share of the unclicked impressions that the log kept.
        """
        cuts = cold_cuts(prepared.num_pages, history.cold_share, history.cold_lengths, seed)
        whole = cuts == UNCUT
        sample = prepared.sample(SAMPLED_ROWS, seed)
        rows = sample[whole[prepared.page[sample]]]
        if not len(rows):
            rows = sample
        drawn = prepared.take(rows)
        weight = drawn.full_log_weight(negative_sampling_rate)
        numeric, categorical = drawn.numeric, drawn.categorical
        numbers = {}
        for name, values in zip(feature_map.numeric_names, numeric.T, strict=True):
            # Values that occur, not values between them: bins of equal numbers then hold exactly those.
            numbers[name] = Bins.of(values, np.unique(np.quantile(values, DECILES, method="inverted_cdf")))
        categories = {}
        for column, codes in zip(feature_map.categorical, categorical.T, strict=True):
            last = min(len(column.vocabulary), MOST_VALUES)
            categories[column.name] = Bins.of(codes, np.arange(UNKNOWN, last + 1, dtype=np.float64))
        return cls(
            rows=len(rows),
            ctr=float(np.average(drawn.clicked, weights=weight)),
            level_prob=np.average(drawn.level_prob, axis=0, weights=weight).tolist(),
            numeric=numbers,
            categorical=categories,
        )

    def save(self, folder: Path) -> None:
        """Write it into a ranker's folder."""
        with atomic_write(Path(folder) / REFERENCE) as temporary:
            temporary.write_text(json.dumps(versioned(asdict(self), SCHEMA_VERSION)) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Reference":
        stored = read_versioned(path, SCHEMA_VERSION)
        for kind in ("numeric", "categorical"):
            bins: dict[str, object] = member(stored, kind, path, dict)
            stored[kind] = {name: parsed(Bins, each, path) for name, each in bins.items()}
        return parsed(cls, stored, path)
