"""Which code decides a step's result: what counts, and what does not."""

import ast
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from prectr.data import copied
from prectr.data import pipeline as data
from prectr.distill import pipeline as distill
from prectr.distill.publishing import encoder
from prectr.distill.student import steps
from prectr.rank import pipeline as rank
from prectr.rank.evaluation import lightgbm
from prectr.rank.inputs import steps as inputs
from prectr.rank.serving.export import export
from prectr.rank.serving.texts import kept_texts
from prectr.rank.training import engagement, fit
from prectr.shared.errors import PrectrError
from prectr.shared.run.sources import ORGANISES, closure, code_of, files_of, organises

ROOT = Path(__file__).parents[3]

SHOP = {
    "__init__": "",
    "slices": '"""Slices."""\nfrom shop_of_sources.index import find\n\nWEEKS = 26\n',
    "index": "import math\n\n\ndef find():\n    from shop_of_sources import lazily\n    return lazily\n",
    "lazily": "VALUE = 1\n",
    "unrelated": "VALUE = 1\n",
    "typed": (
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from shop_of_sources.unrelated import VALUE\n"
    ),
    "config": "class Settings:\n    rate: float = 0.1\n\n    def twice(self):\n        return 2 * self.rate\n",
    "pipeline": (
        "ROWS = 5\nOTHER = 6\n\n\ndef _helper():\n    return ROWS\n\n\n"
        "def build_features():\n    def build(work):\n        return _helper()\n    return build\n\n\n"
        "def build_other():\n    return OTHER\n"
    ),
}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shop_of_sources"
    folder.mkdir()
    for name, text in SHOP.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


class Build:
    """Stands for a function of another module."""

    def __init__(self, module: str, name: str) -> None:
        self.__module__, self.__qualname__ = module, name

    def __call__(self, work: Path) -> None: ...


BUILD = Build("shop_of_sources.pipeline", "build_features.<locals>.build")


def code(*names: str, build: Callable[..., Any] = BUILD) -> dict[str, str]:
    return code_of(build, [f"shop_of_sources.{name}" for name in names])


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def test_what_a_module_imports_counts_wherever_the_import_stands(shop: Path) -> None:
    names = {name.removeprefix("shop_of_sources.") for name in code("slices")}
    assert names == {"slices", "index", "lazily", "pipeline"}
    assert set(code("typed")) == {"shop_of_sources.typed", "shop_of_sources.pipeline"}


@pytest.mark.parametrize(
    ("module", "before", "after"),
    [
        ("slices", "26", "4"),
        ("index", "return lazily", "return lazily.VALUE"),
        ("lazily", "1", "2"),
        ("pipeline", "ROWS = 5", "ROWS = 4"),
        ("pipeline", "return _helper()", "return -_helper()"),
        ("config", "2 *", "3 *"),
    ],
)
def test_a_changed_line_counts(shop: Path, module: str, before: str, after: str) -> None:
    first = code("slices", "config")
    edit(shop / f"{module}.py", before, after)
    changed = code("slices", "config")
    name = f"shop_of_sources.{module}"
    assert {each for each in first if first[each] != changed[each]} == {name}


@pytest.mark.parametrize(
    ("module", "before", "after"),
    [
        ("slices", '"""Slices."""', '"""Slices of the past."""\n# Why.'),
        ("slices", "WEEKS = 26", 'WEEKS = (26)  # half a year\n"""How far back."""'),
        ("index", "    return lazily", '    """Where."""\n\n    return lazily'),
        ("unrelated", "1", "2"),
        ("pipeline", "OTHER = 6", "OTHER = 7"),
        ("pipeline", "return OTHER", "return -OTHER"),
        ("config", "0.1", "0.2"),
    ],
)
def test_words_formatting_and_other_steps_do_not(shop: Path, module: str, before: str, after: str) -> None:
    first = code("slices", "config")
    edit(shop / f"{module}.py", before, after)
    assert code("slices", "config") == first


def test_a_source_that_is_no_module_is_refused(shop: Path) -> None:
    with pytest.raises(PrectrError, match="no module shop_of_sources.slice;"):
        code("slice")
    assert code_of(BUILD, []) == {}


def test_partial_functions_stand_where_their_function_does(shop: Path) -> None:
    assert code("lazily", build=partial(BUILD, 1)) == code("lazily")


def test_what_organises_is_there_and_says_why() -> None:
    for name, why in ORGANISES.items():
        assert why and files_of([name]), name
    assert organises("prectr.shared.run.console") and not organises("prectr.shared.runs")


STEPS: dict[str, tuple[Callable[..., Any], tuple[str, ...], str, str]] = {
    "data": (
        data.build,
        data.SOURCES["journey"],
        "data.journey.pages data.journey.build data.pipeline",
        "data.toy data.listings data.report data.checks.validate data.converters.convert rank distill",
    ),
    "listings": (
        data.build,
        (*data.SOURCES["toy"], *data.SOURCES["listings"]),
        "data.toy data.listings data.scan data.pipeline",
        "data.journey data.report data.checks.validate data.converters.convert rank distill",
    ),
    "fetch": (
        copied.copy_tables,
        ("prectr.data.copied",),
        "data.copied data.config",
        "data.toy data.checks.validate data.converters.convert shared.store.at_hand rank distill",
    ),
    "teach": (
        distill.teach,
        distill.SOURCES["teach"],
        "distill.teachers.lora distill.teachers.causal distill.teachers.prompt distill.workspace distill.pipeline",
        "distill.student distill.labelling.job distill.publishing rank",
    ),
    "choose": (
        distill.choose_labeller,
        distill.SOURCES["choose"],
        "distill.choosing.choice distill.teachers.similarity distill.choosing.maxsim distill.sheet distill.order",
        "distill.student distill.labelling.job distill.publishing rank",
    ),
    "label": (
        distill._label,
        distill.SOURCES["label"],
        "distill.labelling.cache distill.labelling.strategies distill.teachers.causal",
        "distill.student distill.evaluation rank",
    ),
    "student": (
        steps.train_students,
        ("prectr.distill.student.recipe",),
        "distill.student.model distill.student.train distill.losses shared.encoder.level_head shared.training.trainer",
        "distill.teachers.causal distill.teachers.lora distill.labelling.job distill.evaluation rank",
    ),
    "evaluate_encoder": (
        encoder.evaluate_and_publish,
        ("prectr.distill.evaluation.judge", "prectr.distill.student.recipe"),
        "distill.evaluation.judge shared.metrics distill.publishing.encoder",
        "distill.publishing.model_card rank",
    ),
    "level_prob": (
        rank.build_level_prob,
        rank.SOURCES["level_prob"],
        "rank.history.score_log rank.workspace rank.pipeline shared.encoder.level_encoder data.scan",
        "rank.history.log rank.features rank.inputs rank.model rank.training distill",
    ),
    "replay": (
        rank.build_replay,
        rank.SOURCES["replay"],
        "rank.inputs.replayed_pairs rank.workspace rank.pipeline shared.encoder.level_encoder",
        "rank.history.log rank.features rank.inputs.replay rank.model rank.training distill",
    ),
    "behaviours": (
        rank.build_behaviours,
        rank.SOURCES["behaviours"],
        "rank.history.log rank.history.index_writer rank.history.stage_one rank.workspace rank.pipeline",
        "rank.history.slices rank.features rank.inputs rank.model rank.training rank.evaluation distill",
    ),
    "features": (
        rank.build_features,
        rank.SOURCES["features"],
        "rank.history.slices rank.features.compute rank.features.feature_map rank.features.page_reader "
        "rank.features.past_columns rank.features.soft_counts",
        "rank.reports rank.inputs rank.model rank.training rank.evaluation rank.serving distill",
    ),
    "lightgbm": (
        lightgbm.write_rival,
        rank.SOURCES["lightgbm"],
        "rank.evaluation.lightgbm rank.training.trees rank.features.prepared_set",
        "rank.evaluation.judge rank.model rank.training.engagement rank.training.schedule rank.reports",
    ),
    "engagement": (
        engagement.write_engagement,
        rank.SOURCES["engagement"],
        "rank.training.engagement rank.training.trees rank.features.prepared_set",
        "rank.evaluation rank.model rank.inputs rank.training.schedule rank.training.losses rank.reports",
    ),
    "texts": (
        inputs.write_texts,
        rank.SOURCES["texts"],
        "rank.inputs.texts rank.inputs.replay rank.inputs.steps rank.features.shop shared.encoder.level_encoder",
        "rank.features.compute rank.inputs.frozen_text rank.training rank.evaluation rank.reports",
    ),
    "text_vectors": (
        inputs.write_text_vectors,
        rank.SOURCES["text_vectors"],
        "rank.features.frozen_vectors rank.inputs.texts rank.inputs.steps shared.encoder.level_encoder",
        "rank.features.compute rank.features.soft_counts rank.training rank.evaluation rank.reports",
    ),
    "pair_features": (
        inputs.write_frozen_text,
        rank.SOURCES["pair_features"],
        "rank.inputs.frozen_text rank.inputs.replay rank.inputs.texts shared.encoder.level_encoder",
        "rank.features.compute rank.training rank.evaluation rank.reports",
    ),
    "training": (
        fit.train_ranker,
        rank.SOURCES["training"],
        "rank.training.fit rank.training.exposure_bias rank.model.fusion rank.inputs.batch rank.config "
        "shared.training.trainer",
        "rank.evaluation rank.reports rank.serving rank.training.trees shared.run shared.errors shared.hub distill "
        "data.checks",
    ),
    "ranker": (
        rank.build_ranker,
        rank.SOURCES["ranker"],
        "rank.evaluation.judge rank.model.predictor rank.model.fusion rank.pipeline shared.metrics",
        "rank.training rank.reports rank.serving rank.evaluation.drift rank.evaluation.lightgbm shared.run distill",
    ),
    "token_vectors": (
        kept_texts.kept_texts,
        tuple(kept_texts.SOURCES),
        "rank.serving.texts.text_block rank.serving.texts.kept_texts shared.encoder.level_encoder "
        "shared.encoder.level_head",
        "rank.training rank.features rank.history rank.model rank.serving.live rank.serving.texts.text_store",
    ),
    "onnx": (
        export.export,
        tuple(export.SOURCES),
        "rank.serving.export.encoder rank.serving.export.page_network rank.serving.export.graph "
        "rank.model.ranker_model shared.encoder.level_encoder shared.encoder.level_head",
        "rank.training rank.evaluation rank.serving.live rank.serving.export.exported rank.service",
    ),
}
"""Of each step: where it is put together, its sources, modules that count and modules (or rooms) that do not."""


@pytest.mark.parametrize("step", STEPS)
def test_each_step_sees_its_own_code(step: str) -> None:
    build, sources, counts, does_not = STEPS[step]
    found = {name.removeprefix("prectr.") for name in code_of(build, sources)}
    assert set(counts.split()) <= found
    rooms = does_not.split()
    assert [name for name in found for room in rooms if name == room or name.startswith(f"{room}.")] == []


def test_only_the_parts_of_a_workspace_that_a_step_uses_count() -> None:
    behaviours = code_of(rank.build_behaviours, rank.SOURCES["behaviours"])
    features = code_of(rank.build_features, rank.SOURCES["features"])
    assert behaviours["prectr.rank.workspace"] != features["prectr.rank.workspace"]
    assert behaviours["prectr.rank.pipeline"] != features["prectr.rank.pipeline"]
    assert behaviours["prectr.data.contract"] == features["prectr.data.contract"]
    assert "prectr.rank.workspace" not in closure(["prectr.rank.features.write"])


def test_every_step_of_the_project_names_its_sources() -> None:
    nameless = []
    for folder in ("data", "distill", "rank", "benchmarks"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
                is_step = isinstance(node, ast.Call) and called in ("run_step", "workspace.step")
                if is_step and "sources" not in {keyword.arg for keyword in node.keywords}:
                    nameless.append(f"{file}:{node.lineno}")
    assert nameless == []
