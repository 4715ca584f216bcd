"""The `evaluate` modules: they load from a checkout, offline, their examples hold, and they say what `metrics` says."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import pytest

from prectr.shared import metrics
from prectr.shared.errors import PrectrError
from prectr.shared.metric_modules.front import open_metric

ROOT = Path(__file__).parents[3]
NAMES = sorted(path.parent.name for path in (ROOT / "shared" / "metric_modules").glob("*/__init__.py"))

LOAD = """
import doctest, sys
import evaluate
for name in sys.argv[1:]:
    module = evaluate.load(f"./shared/metric_modules/{name}")
    info = module.info
    assert info.description and info.citation and info.features and info.module_type == "metric", name
    example = doctest.DocTestParser().get_doctest(info.inputs_description, {}, name, None, 0)
    assert len(example.examples) >= 3 and not doctest.DocTestRunner().run(example).failed, name
"""


def run(source: str, *arguments: str, **environment: str) -> None:
    found = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), **environment}
    subprocess.run([sys.executable, "-c", source, *arguments], cwd=ROOT, env=found, check=True, timeout=300)


def files() -> set[Path]:
    return {path for path in (ROOT / "shared").rglob("*") if "__pycache__" not in path.parts}


def test_each_loads_from_the_checkout_offline_and_its_example_holds(tmp_path: Path) -> None:
    before = files()
    run(LOAD, *NAMES, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1", HF_EVALUATE_OFFLINE="1")
    assert files() == before, "evaluate wrote into the repository"
    assert (tmp_path / "modules").is_dir()  # where it keeps its copies


def test_the_maths_does_not_import_evaluate() -> None:
    run("import sys, prectr.shared.metrics, prectr.shared.metric_modules.front; assert 'evaluate' not in sys.modules")


def data(rows: int = 400) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    level_prob = random.dirichlet(np.ones(4), rows).astype(np.float32)
    return {
        "score": random.normal(size=rows),
        "probability": random.uniform(size=rows) / 3,
        "clicked": random.integers(0, 2, rows),
        "level": random.integers(0, 4, rows),
        "level_prob": level_prob,
        "page": random.integers(0, 40, rows),
    }


def test_they_say_to_the_last_bit_what_the_functions_say() -> None:
    d = data()
    predicted, names = d["level_prob"].argmax(1), d["page"].astype(str)
    for page in (d["page"], names):
        value, coverage = metrics.gauc(d["clicked"], d["score"], page)
        found = open_metric("gauc").compute(predictions=d["score"], references=d["clicked"], groups=page)
        assert found == {"gauc": value, "coverage": coverage}
    pcoc = open_metric("pcoc").compute(predictions=d["probability"], references=d["clicked"], weights=d["score"] ** 2)
    assert pcoc == {"pcoc": metrics.pcoc(d["clicked"], d["probability"], d["score"] ** 2)}
    qwk = open_metric("qwk").compute(predictions=predicted, references=d["level"])
    assert qwk == {"qwk": metrics.qwk(d["level"], predicted)}
    ndcg = open_metric("within_query_ndcg").compute(predictions=d["score"], references=d["level"], groups=names, k=5)
    assert ndcg == {"ndcg@5": metrics.ndcg_at_k(names, d["score"], d["level"], 5)}
    graded = open_metric("graded_relevance").compute(predictions=d["level_prob"], references=d["level"])
    assert graded == metrics.graded_relevance(d["level"], d["level_prob"])
    assert graded["qwk"] == qwk["qwk"]


def test_they_combine_and_take_rows_in_batches() -> None:
    d = data()
    both = evaluate.combine([open_metric("gauc"), open_metric("pcoc")])
    for rows in np.array_split(np.arange(len(d["page"])), 3):
        both.add_batch(predictions=d["probability"][rows], references=d["clicked"][rows], groups=d["page"][rows])
    whole: dict[str, Any] = {"references": d["clicked"], "predictions": d["probability"], "groups": d["page"]}
    found = evaluate.combine([open_metric("gauc"), open_metric("pcoc")]).compute(**whole)
    value, coverage = metrics.gauc(d["clicked"], d["probability"], d["page"])
    assert found == {"gauc": value, "coverage": coverage, "pcoc": metrics.pcoc(d["clicked"], d["probability"])}
    assert [each.compute() for each in both.evaluation_modules] == [
        {"gauc": value, "coverage": coverage},
        {"pcoc": found["pcoc"]},
    ]


def test_inside_the_project_nothing_is_left_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_METRICS_CACHE", "HF_MODULES_CACHE"):
        monkeypatch.setattr(evaluate.config, name, tmp_path / name)
    state = np.random.get_state()[1].copy()
    open_metric("qwk").compute(predictions=[0, 1], references=[1, 1])
    assert not list(tmp_path.iterdir())
    assert np.array_equal(np.random.get_state()[1], state)


def test_what_is_undefined_is_none_and_a_wrong_label_is_refused() -> None:
    assert open_metric("qwk").compute(predictions=[1, 1], references=[1, 1]) == {"qwk": None}
    assert open_metric("pcoc").compute(predictions=[0.5], references=[0]) == {"pcoc": None}
    with pytest.raises(PrectrError, match="neither 0 nor 1"):
        open_metric("gauc").compute(predictions=[0.5], references=[2], groups=["a"])
