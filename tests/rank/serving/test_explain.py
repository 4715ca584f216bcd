"""`python -m rank explain`: the parts belong to the score that is given out, and the attention is the model's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prectr.data.contract import read_table
from prectr.rank.model.preference import PreferenceMix, Seats, TargetAttention
from prectr.rank.model.ranker_model import RankerModel
from prectr.rank.serving.explain import explain_page, watched_preference
from prectr.rank.serving.scorer import Scorer
from tests.rank.toy_run import build_run, predictions, split_of


def last_page(home: Path) -> Any:
    """The last page of the test weeks: its user has a past."""
    table = split_of(home, "test")
    return table.filter(np.asarray(table["page_id"]) == table["page_id"][-1].as_py())


def explained(home: Path, scorer: Scorer, **limits: int) -> dict[str, Any]:
    gold = read_table(home / "data", "gold")
    return explain_page(scorer, last_page(home), gold, **({"top_events": 1000, "top_features": 3} | limits))


def test_the_parts_are_those_of_the_prediction(home: Path, scorer: Scorer) -> None:
    page, expected = last_page(home), predictions(home, "test")
    facts = explained(home, scorer)
    rows = np.flatnonzero(np.asarray(split_of(home, "test")["page_id"]) == facts["page"])
    by_item = dict(zip(page["item_id"].to_pylist(), rows, strict=True))
    assert {each["item_id"] for each in facts["candidates"]} == set(by_item)
    for each in facts["candidates"]:
        for name, values in expected.items():
            np.testing.assert_allclose(each[name], values[by_item[each["item_id"]]], atol=1e-5, err_msg=name)
        assert np.dot(each["level_prob"], each["p_click_given_level"]) == pytest.approx(each["p_click"], abs=1e-5)
        assert each["expected_level"] == pytest.approx(np.dot(each["level_prob"], range(4)), abs=1e-5)
    order = [each["p_click"] for each in facts["candidates"]]
    assert order == sorted(order, reverse=True)


def test_attention_is_a_distribution_over_nothing_and_the_past(home: Path, scorer: Scorer) -> None:
    facts = explained(home, scorer)
    assert facts["history"]["user"] > 0 and facts["history"]["cross"] > 0
    for each in facts["candidates"]:
        assert 0 < each["alpha"] < 1
        for kind, seen in each["looked_at"].items():
            weights = [event["weight"] for event in seen["events"]]
            assert len(weights) == facts["history"][kind]
            assert seen["nothing"] + sum(weights) == pytest.approx(1, abs=1e-5)
            assert all(event["days_ago"] > 0 for event in seen["events"]), "nothing from the future"
            assert weights == sorted(weights, reverse=True)


def test_the_page_looked_at_is_the_mean_of_its_candidates(home: Path, scorer: Scorer) -> None:
    facts = explained(home, scorer)
    for kind, seen in facts["looked_at"].items():
        assert seen["nothing"] == pytest.approx(
            np.mean([each["looked_at"][kind]["nothing"] for each in facts["candidates"]]), abs=1e-5
        )
        assert sum(event["weight"] for event in seen["events"]) == pytest.approx(1 - seen["nothing"], abs=1e-5)


def test_fewer_events_are_the_most_attended_ones(home: Path, scorer: Scorer) -> None:
    whole, short = explained(home, scorer), explained(home, scorer, top_events=2)
    for long, cut in zip(whole["candidates"], short["candidates"], strict=True):
        assert cut["looked_at"]["user"]["events"] == long["looked_at"]["user"]["events"][:2]


class Preferences(torch.nn.Module):
    """The two attentions and their mixture, one head each, so that weights can be multiplied out by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.user_attention, self.cross_attention = (TargetAttention(5, 3, 4, 1) for _ in range(2))
        self.preference_mix = PreferenceMix()


def test_watched_weights_are_those_of_the_forward_pass() -> None:
    torch.manual_seed(0)
    model = Preferences()
    torch.nn.init.normal_(model.user_attention.null_value)
    target, events, mask = torch.randn(6, 5), torch.randn(2, 7, 3), torch.rand(2, 7) < 0.6
    page = torch.tensor([0, 0, 0, 1, 1, 1])
    with watched_preference(model) as seen:  # type: ignore[arg-type]
        result = model.user_attention(target, model.user_attention.remember(events, mask, page, Seats.of(page, 2)))
        model.preference_mix(result, result, torch.tensor([3.0] * 6), torch.tensor([1.0] * 6))
    attention = model.user_attention
    value = torch.cat([attention.null_value.expand(2, 1, -1), attention.to_value(events)], 1)[page]
    torch.testing.assert_close((seen["user"][:, :, None] * value).sum(1), result)
    assert (seen["user"][:, 1:][~mask[page]] == 0).all()
    assert "cross" not in seen and seen["alpha"].tolist() == pytest.approx([2 / 3] * 6)
    seen.clear()
    model.user_attention(target, model.user_attention.remember(events, mask, page, Seats.of(page, 2)))
    assert not seen, "nobody watches any longer"


def test_a_part_that_is_off_is_absent(tmp_path: Path) -> None:
    build_run(tmp_path, cross_preference=False)
    alone = Scorer.open(tmp_path / "ranker", tmp_path / "data", batch_size=4096)
    facts = explained(tmp_path, alone)
    assert set(facts["history"]) == {"user"} and facts["cross_from"] is None
    assert all(each["alpha"] is None and set(each["looked_at"]) == {"user"} for each in facts["candidates"])


def test_what_the_network_does_not_read_has_no_part(
    home: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = explained(home, scorer)["candidates"]
    assert any(abs(value) > 1e-4 for each in before for value in each["occlusion"]["groups"].values())
    assert all({"user matches", "cross matches"} <= set(each["occlusion"]["groups"]) for each in before)

    def blind(model: RankerModel, numeric: torch.Tensor, counts: Any) -> torch.Tensor:
        return torch.zeros(len(numeric), len(model.numeric_encoding.edges))

    monkeypatch.setattr(RankerModel, "numbers", blind)
    for each in explained(home, scorer)["candidates"]:
        parts = each["occlusion"]["groups"] | each["occlusion"]["inputs"]
        assert set(parts.values()) == {0.0}
