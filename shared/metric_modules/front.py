"""Opens the project's own `evaluate` modules, for Trainer's `compute_metrics` and for reports.

A bootstrap computes a metric hundreds of times on the same rows: it calls `shared/metrics.py` itself, whose functions
of weights sort those rows once.
"""

from __future__ import annotations

from importlib import import_module
from tempfile import TemporaryDirectory
from typing import Any


def open_metric(name: str) -> Any:
    """The module in `metric_modules/<name>/`, for `compute` or `evaluate.combine`; a process imports it in place.

    What it is given stays in memory: left to itself `evaluate` copies modules and rows into ~/.cache/huggingface.
    """
    import evaluate  # it takes seconds, which whoever only wants `shared/metrics.py` need not wait

    module = import_module(f"prectr.shared.metric_modules.{name}.{name}")
    metric = next(
        kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, evaluate.Metric)
    )
    with TemporaryDirectory() as unused:  # a module makes its cache's folder even where it keeps nothing there
        return metric(keep_in_memory=True, cache_dir=unused)
