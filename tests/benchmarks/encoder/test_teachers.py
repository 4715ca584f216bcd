"""Teachers before and after teaching, from what a run has compared."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.encoder import teachers
from benchmarks.encoder.teachers import MEASURES, kinds, show
from prectr.distill.choosing.choice import COSINE, MAXSIM
from prectr.distill.choosing.likeness import LIKENESS
from prectr.distill.models.sources import Source
from prectr.distill.teachers.panel import TAUGHT
from prectr.shared.errors import PrectrError

GEMMA = Source("gguf", "gemma", "g.gguf", {})
MINILM = Source("folder", "minilm", "/models/minilm", {}, "cross_encoder")


def figures(value: float) -> dict[str, Any]:
    return {**dict.fromkeys(MEASURES, value), "n": 40, "order": value}


JUDGES = {
    TAUGHT: figures(0.5),
    "taught gemma": figures(0.4),
    "taught minilm": figures(0.3),
    "untaught gemma": figures(0.1),
    LIKENESS: figures(0.6),
    MAXSIM: {**figures(0.2), "qwk": None},
    COSINE: figures(0.25),
}


def test_each_kind_has_what_it_was_and_what_it_became(capsys: pytest.CaptureFixture[str]) -> None:
    found = kinds(JUDGES, [GEMMA, MINILM], "/models/minilm")
    shares = {
        name: [None if one[when] is None else one[when]["auc_random"] for when in ("before", "after")]
        for name, one in found.items()
    }
    assert shares == {
        "gemma": [0.1, 0.4],
        "minilm": [0.25, 0.3],  # what it was is the cosine of its encoder
        "all together": [None, 0.5],
        LIKENESS: [None, 0.6],
        COSINE: [0.25, None],
        MAXSIM: [0.2, None],
    }
    show({"data": "toy", "pairs": 40, "labeller": LIKENESS, "kinds": found})
    shown = capsys.readouterr().out
    assert f"toy, 40 validation pairs: {LIKENESS} labels" in shown and "0.250" in shown and "–" in shown


def test_one_teacher_alone_is_the_taught_one_and_another_encoders_cosine_is_not_its_past() -> None:
    found = kinds({TAUGHT: figures(0.5), COSINE: figures(0.2)}, [MINILM], "/models/other")
    assert found["minilm"]["after"]["qwk"] == 0.5 and found["minilm"]["before"] is None


def test_without_a_comparison_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Workspace:
        folder = tmp_path

    monkeypatch.setattr(teachers, "Workspace", lambda *_: Workspace())
    with pytest.raises(PrectrError, match="has no figures of judges: run `make distill DATA=toy`"):
        teachers.main(["--profile", "smoke"])


@pytest.mark.parametrize("name", ["homedepot", "chorus", "journey"])
def test_the_files_of_record_have_every_kind(name: str) -> None:
    path = Path(teachers.RESULTS) / f"teachers_{name}.json"
    found = json.loads(path.read_text(encoding="utf-8"))["kinds"]
    assert len(found) == 6
    for one in found.values():
        measured = [one[when] for when in ("before", "after") if one[when] is not None]
        assert measured and all(None not in [each[measure] for measure in MEASURES] for each in measured)
    for name in list(found)[:2]:  # what can learn
        assert found[name]["before"] is not None and found[name]["after"] is not None
