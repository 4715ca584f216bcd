"""What a judge of relevance is measured by, as a module of Hugging Face `evaluate`;
`prectr.shared.metrics.graded_relevance` is what it computes.
"""

from typing import Any

import evaluate
from datasets import Features, List, Value

from prectr.shared import metrics

DESCRIPTION = """
Predicted probabilities of ordered relevance levels against gold levels: how well the expected level orders pairs, and
how well the most probable level hits them.
"""

INPUTS = """
Args:
    predictions: P(level) of each pair, a list of K numbers, lowest level first.
    references: its gold level, 0 to K - 1.
Returns:
    auc: of the expected level, for gold levels in the upper half of the scale (K / 2 or more) or not; in [0, 1].
    macro_f1: of the most probable level, unweighted mean over levels; in [0, 1].
    qwk: of the most probable level; in [-1, 1].
    spearman: of the expected level with the gold level; in [-1, 1].
    n: number of pairs. Where a figure is undefined it is None.
Examples:
    >>> import evaluate
    >>> judge = evaluate.load("./shared/metric_modules/graded_relevance")
    >>> judge.compute(predictions=[[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]], references=[0, 0, 1])["auc"]
    1.0
"""

CITATION = """
@misc{prectrv2,
  title={{PRECTR-V2}},
  url={https://arxiv.org/abs/2602.20676},
  year={2026}
}
"""


class GradedRelevance(evaluate.Metric):
    """See `DESCRIPTION` and `INPUTS`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=Features({"predictions": List(Value("float64")), "references": Value("int64")}),
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float | int | None]:
        return metrics.graded_relevance(references, predictions)
