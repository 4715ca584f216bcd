"""The arithmetic of the comparison; the runs themselves are in tests/distill/teachers/test_endpoint_real.py."""

import numpy as np
import pytest
from scipy.special import log_softmax

from benchmarks.labelling import endpoint_agreement, llama_server
from benchmarks.labelling.endpoint_agreement import REFERENCE, agreement, compare
from prectr.distill.teachers.base import Judgement
from prectr.shared.errors import PrectrError

LOGITS = np.array([[3.0, 1, 0, -1], [0, 2, 1, 0], [-1, 0, 1, 4], [0, 0, 3, 1]])


def judgement(logits: np.ndarray, censored: np.ndarray | None = None) -> Judgement:
    return Judgement(log_softmax(logits, axis=1).astype(np.float32), censored=censored)


def test_a_judgement_agrees_with_itself() -> None:
    found = agreement(judgement(LOGITS), judgement(LOGITS))
    assert found["same_level"] == found["same_level_centred"] == found["judged_share"] == 1
    assert found["log_odds_mae"] == found["level_prob_mae"] == found["censored_share"] == 0
    assert found["spearman"] == pytest.approx(1)


def test_differences_are_those_of_pairs_both_judged_and_levels_not_censored() -> None:
    moved, censored = LOGITS[:, ::-1].copy(), np.zeros(LOGITS.shape, bool)
    moved[:2] = LOGITS[:2]
    moved[3] = np.nan
    censored[2, :2] = True
    found = agreement(judgement(LOGITS), judgement(moved, censored))
    assert found["judged_share"] == 0.75
    assert found["same_level"] == pytest.approx(2 / 3)
    assert found["log_odds_mae"] == pytest.approx((1 + 5) / 10, abs=1e-6)
    assert found["censored_share"] == pytest.approx(2 / 12)


def test_a_model_that_always_says_one_word_agrees_only_where_it_moves_alike() -> None:
    always = np.array([20.0, 0, 0, 0])
    found = agreement(judgement(LOGITS + always), judgement(LOGITS[::-1] + always))
    assert found["same_level"] == found["commonest_level"] == 1
    assert found["same_level_centred"] < 0.5


def test_every_system_is_compared_with_the_reference() -> None:
    found = compare({REFERENCE: (judgement(LOGITS), 5.0), "endpoint": (judgement(-LOGITS), 2.0)})
    assert found[REFERENCE] == {"pairs_per_s": 5.0}
    assert found["endpoint"]["pairs_per_s"] == 2.0 and found["endpoint"]["spearman"] < 0


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--pairs", "1"], "at least 2"),
        (["--pair", "9"], "unknown flag"),
        (["--pairs", "x"], "expected a whole number"),
    ],
)
def test_a_wrong_flag_is_one_sentence(flags: list[str], says: str) -> None:
    with pytest.raises(PrectrError, match=says):
        endpoint_agreement.main(flags)


def test_the_server_wants_a_file() -> None:
    with pytest.raises(PrectrError, match="name a GGUF file"):
        llama_server.main(["nothing.gguf"])
