"""PCOC as a module of Hugging Face `evaluate`; `prectr.shared.metrics.pcoc` is what it computes."""

from typing import Any

import evaluate
from datasets import Features, Value

from prectr.shared import metrics

DESCRIPTION = """
PCOC, predicted click over click: the mean predicted probability divided by the click-through rate. 1 if calibrated on
the whole, above 1 if clicks are foreseen too often.
"""

INPUTS = """
Args:
    predictions: P(click) of each impression, in [0, 1].
    references: 1 where it was clicked, else 0.
    weights: optional; how often each impression counts.
Returns:
    pcoc: 0 or more; None without clicks.
Examples:
    >>> import evaluate
    >>> pcoc = evaluate.load("./shared/metric_modules/pcoc")
    >>> pcoc.compute(predictions=[0.5, 0.25, 0.75, 0.0], references=[1, 0, 0, 0])
    {'pcoc': 1.5}
"""

CITATION = """
@inproceedings{graepel2010web,
  title={Web-Scale Bayesian Click-Through Rate Prediction for Sponsored Search Advertising in Microsoft's Bing Search
         Engine},
  author={Graepel, Thore and Qui{\\~n}onero Candela, Joaquin and Borchert, Thomas and Herbrich, Ralf},
  booktitle={Proceedings of the 27th International Conference on Machine Learning},
  year={2010}
}
"""


class Pcoc(evaluate.Metric):
    """See `DESCRIPTION` and `INPUTS`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=Features({"predictions": Value("float64"), "references": Value("int64")}),
        )

    def _compute(
        self, predictions: Any, references: Any, weights: Any = None, groups: Any = None
    ) -> dict[str, float | None]:
        # `evaluate.combine` hands the groups, which GAUC needs, to all of its modules.
        return {"pcoc": metrics.pcoc(references, predictions, weights)}
