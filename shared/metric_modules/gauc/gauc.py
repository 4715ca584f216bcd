"""GAUC as a module of Hugging Face `evaluate`; `prectr.shared.metrics.gauc` is what it computes."""

from typing import Any

import evaluate
from datasets import Features, Value

from prectr.shared import metrics

DESCRIPTION = """
GAUC: the AUC inside each group (result page, user), averaged over groups by their number of impressions. Groups with
one class have no AUC and are left out. Equal scores count as half a win. How popular a page or user is plays no part.
"""

INPUTS = """
Args:
    predictions: score of each impression, any finite numbers.
    references: 1 where it was clicked, else 0.
    groups: page or user of each impression, strings or integers.
Returns:
    gauc: in [0, 1]; None if no group has both classes.
    coverage: in [0, 1], the share of impressions in groups that have both.
Examples:
    >>> import evaluate
    >>> gauc = evaluate.load("./shared/metric_modules/gauc")
    >>> gauc.compute(predictions=[0.9, 0.2, 0.4, 0.3, 0.8], references=[1, 0, 1, 0, 1], groups=[1, 1, 2, 2, 3])
    {'gauc': 1.0, 'coverage': 0.8}
"""

CITATION = """
@inproceedings{zhou2018deep,
  title={Deep Interest Network for Click-Through Rate Prediction},
  author={Zhou, Guorui and Zhu, Xiaoqiang and Song, Chenru and Fan, Ying and Zhu, Han and Ma, Xiao and Yan, Yanghui and
          Jin, Junqi and Li, Han and Gai, Kun},
  booktitle={Proceedings of the 24th ACM SIGKDD International Conference on Knowledge Discovery and Data Mining},
  year={2018}
}
"""


class Gauc(evaluate.Metric):
    """See `DESCRIPTION` and `INPUTS`."""

    def _info(self) -> evaluate.MetricInfo:
        numbers = {"predictions": Value("float64"), "references": Value("int64")}
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            # Strings first: read as an integer, "007" would be one group with "7".
            features=[Features({**numbers, "groups": Value(kind)}) for kind in ("string", "int64")],
        )

    def _compute(self, predictions: Any, references: Any, groups: Any) -> dict[str, float | None]:
        value, coverage = metrics.gauc(references, predictions, groups)
        return {"gauc": value, "coverage": coverage}
