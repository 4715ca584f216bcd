"""NDCG@k as a module of Hugging Face `evaluate`; `prectr.shared.metrics.ndcg_at_k` is what it computes."""

from typing import Any

import evaluate
from datasets import Features, Value

from prectr.shared import metrics

DESCRIPTION = """
NDCG@k within each query (or page): DCG of the k highest scores divided by the best possible one, mean over queries. A
rank's discount is 1 / log2(1 + rank); gains are used as given. Queries without a positive gain are left out, and equal
scores count as if every order among them were equally likely.
"""

INPUTS = """
Args:
    predictions: score of each item, any finite numbers.
    references: its gain, 0 or more: 0 and 1 for clicks, or 2**level - 1.
    groups: query or page of each item, strings or integers.
    k: optional, 10; how many ranks count.
Returns:
    ndcg@k: in [0, 1], k the number asked for; None if no query has a positive gain.
Examples:
    >>> import evaluate
    >>> ndcg = evaluate.load("./shared/metric_modules/within_query_ndcg")
    >>> ndcg.compute(predictions=[3, 2, 1, 1], references=[0, 0, 1, 1], groups=["tea", "tea", "tea", "milk"])
    {'ndcg@10': 0.75}
"""

CITATION = """
@article{jarvelin2002cumulated,
  title={Cumulated Gain-Based Evaluation of {IR} Techniques},
  author={J{\\"a}rvelin, Kalervo and Kek{\\"a}l{\\"a}inen, Jaana},
  journal={ACM Transactions on Information Systems},
  volume={20},
  number={4},
  pages={422--446},
  year={2002}
}
"""


class WithinQueryNdcg(evaluate.Metric):
    """See `DESCRIPTION` and `INPUTS`."""

    def _info(self) -> evaluate.MetricInfo:
        numbers = {"predictions": Value("float64"), "references": Value("float64")}
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            # Strings first: read as an integer, "007" would be one group with "7".
            features=[Features({**numbers, "groups": Value(kind)}) for kind in ("string", "int64")],
        )

    def _compute(self, predictions: Any, references: Any, groups: Any, k: int = 10) -> dict[str, float | None]:
        return {f"ndcg@{k}": metrics.ndcg_at_k(groups, predictions, references, k)}
