"""Outputs of a cross-encoder are levels by their names, or somebody says which."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from prectr.distill.config import TeacherArguments
from prectr.distill.models.output_names import output_names, output_order
from prectr.distill.models.sources import Source, find_teacher
from prectr.distill.teachers.panel import Panel, open_teacher
from prectr.distill.teachers.prompt import Prompt
from prectr.shared.errors import PrectrError
from tests.distill.student.loud_encoder import loud_text_encoder

LEVELS = ("irrelevant", "related", "substitute", "exact")
ESCI = ("irrelevant", "complement", "substitute", "exact")
NLI = ("contradiction", "neutral", "entailment")


def source(*names: str, outputs: int | None = None) -> Source:
    labels = dict(enumerate(names)) or None
    return Source("folder", "judge", "judge", {}, "cross_encoder", outputs or len(names), labels)


@pytest.mark.parametrize(
    ("names", "levels", "told", "order"),
    [
        (("exact", "substitute", "related", "irrelevant"), LEVELS, (), [3, 2, 1, 0]),
        (("irrelevant", "substitute", "exact", "complement"), LEVELS, ESCI, [0, 3, 1, 2]),
        (("EXACT", "Irrelevant"), ("irrelevant", "exact"), (), [1, 0]),
        (("good-match", "no_match"), ("No match", "Good  Match"), (), [1, 0]),
        (("相关", "无关"), ("无关", "相关"), (), [1, 0]),
        (("entailment", "neutral", "contradiction"), ("0", "1", "2"), NLI, [2, 1, 0]),
        (("2", "1", "0"), ("0", "1", "2"), (), [2, 1, 0]),
        (("LABEL_1", "LABEL_0"), ("no", "yes"), ("LABEL_0", "LABEL_1"), [1, 0]),
        (("no", "yes"), ("no", "yes"), (), None),
        (("LABEL_0", "LABEL_1"), ("no", "yes"), (), None),
        (("0", "1"), ("no", "yes"), (), None),
        (("yes",), ("no", "yes"), (), None),
    ],
)  # fmt: skip
def test_outputs_are_put_in_the_order_of_the_levels(names: Any, levels: Any, told: Any, order: Any) -> None:
    assert output_order(source(*names), levels, told) == order


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("entailment", "neutral", "contradiction"), ()),
        (("no", "maybe", "certainly"), ()),
        (("no", "maybe", "certainly"), ("no", "maybe", "yes")),
        (("no", "maybe", "certainly"), ("no", "maybe")),
        (("no", "no", "yes"), ()),
        (("no", "maybe", "certainly"), ("no", "no", "certainly")),
    ],
)
def test_names_that_nobody_matched_are_asked_for(names: tuple[str, ...], told: tuple[str, ...]) -> None:
    with pytest.raises(PrectrError, match="--level_names") as raised:
        output_order(source(*names), ("no", "maybe", "yes"), told)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("listed", [None, [], {"a": "b"}, {}, {"0": "LABEL_0", "1": "LABEL_1"}, {0: "level 0"}])
def test_a_config_without_names_of_its_own(listed: Any) -> None:
    assert output_names(listed) is None


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    loud_text_encoder(tmp_path, ["red", "lamp", "milk"])
    torch.manual_seed(0)
    names = dict(enumerate(LEVELS[::-1]))
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=4, id2label=names)
    torch.nn.init.normal_(model.classifier.weight)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model.save_pretrained(tmp_path / "judge")
    tokenizer.save_pretrained(tmp_path / "judge")
    return tmp_path / "judge"


def test_a_judge_upside_down_is_read_the_right_way_up(judge: Path) -> None:
    pairs = [("red", "lamp red"), ("milk", "lamp")]
    prompt = Prompt("", " ", "", LEVELS)

    def opened(levels: tuple[str, ...]) -> Any:
        arguments = TeacherArguments(teacher_pairs=0, teacher_calibration_pairs=0, teacher_dtype="float32")
        panel = Panel([find_teacher(str(judge))], [str(judge)], prompt, levels, arguments, 4)
        return panel, open_teacher(panel, None, "")

    (up, right), (down, plain) = opened(LEVELS), opened(LEVELS[::-1])
    np.testing.assert_array_equal(right.score(pairs).log_odds, plain.score(pairs).log_odds[:, ::-1])
    assert right.fingerprint != plain.fingerprint and up.inputs["outputs"] == [[3, 2, 1, 0]]
    assert "outputs" not in down.inputs
