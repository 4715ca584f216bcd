"""QWK as a module of Hugging Face `evaluate`; `prectr.shared.metrics.qwk` is what it computes."""

from typing import Any

import evaluate
from datasets import Features, Value

from prectr.shared import metrics

DESCRIPTION = """
QWK: Cohen's kappa with quadratic weights, the agreement of two judges on ordered levels beyond chance. A level that is
missed by two counts four times one that is missed by one.
"""

INPUTS = """
Args:
    predictions: level that was predicted for each pair, an integer.
    references: its gold level, an integer.
Returns:
    qwk: in [-1, 1]; None if both are one and the same constant.
Examples:
    >>> import evaluate
    >>> qwk = evaluate.load("./shared/metric_modules/qwk")
    >>> qwk.compute(predictions=[0, 1, 2, 3], references=[0, 1, 2, 3])
    {'qwk': 1.0}
"""

CITATION = """
@article{cohen1968weighted,
  title={Weighted Kappa: Nominal Scale Agreement Provision for Scaled Disagreement or Partial Credit},
  author={Cohen, Jacob},
  journal={Psychological Bulletin},
  volume={70},
  number={4},
  pages={213--220},
  year={1968}
}
"""


class Qwk(evaluate.Metric):
    """See `DESCRIPTION` and `INPUTS`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=Features({"predictions": Value("int64"), "references": Value("int64")}),
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float | None]:
        return {"qwk": metrics.qwk(references, predictions)}
