"""Which strategies are asked for where there is no log."""

from types import SimpleNamespace

import numpy as np
import pytest

from prectr.distill.labelling.strategies import WITHOUT_A_LOG
from prectr.distill.pairs import Pairs, no_pairs
from prectr.distill.workspace import Workspace

LOGGED = Pairs(np.array(["milk"], object), np.array(["milk 1 l"], object), np.array([-1]))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["logged:0.9", "random:0.1"], WITHOUT_A_LOG),
        (["logged"], WITHOUT_A_LOG),
        (["random"], ["random"]),
        (["logged:2", "pseudo_queries", "random"], ["pseudo_queries", "random"]),
    ],
)
def test_without_a_log_what_else_was_asked_for_is_labelled(
    asked: list[str], found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prectr.distill.workspace.choose_pairs", lambda pairs, texts, strategies, *_: strategies)
    settings = SimpleNamespace(label_strategies=asked, label_pairs=8)
    where = SimpleNamespace(labelling=settings, item_texts=[], run=SimpleNamespace(seed=0), encoder_source="random")
    for unlabelled, expected in ((no_pairs(), found), (LOGGED, asked)):
        where.pairs = {"unlabelled": unlabelled}
        assert Workspace.choose(where) == expected
