"""What is written of the network computes what the network computes, of a page of any size."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prectr.rank.inputs.batch import Batch, page_batch
from prectr.rank.model.predictor import SCORES, Predictor
from prectr.rank.model.ranker_model import RankerModel
from prectr.rank.serving.export.graph import Graph, write_graph
from prectr.rank.serving.export.page_network import PageNetwork, write_page_network
from tests.rank.random_network import HISTORY, Scene

CLOSE, PARTS_CLOSE = 1e-5, 1e-4
"""Of P(click), and of what it is made of: logits of this network go to ten, and float32 sums in another order."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def network(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> PageNetwork:
    return written(scene.model, tmp_path_factory.mktemp("graph"))


def written(model: RankerModel, folder: Path) -> PageNetwork:
    write_page_network(model, HISTORY, folder / "network.onnx")
    return PageNetwork(model, Graph(folder / "network.onnx"))


def of_pages(scene: Scene, model: RankerModel, network: PageNetwork | None) -> dict[str, np.ndarray]:
    """What a predictor says of every page of the scene, one at a time."""
    predictor = Predictor(model, scene.texts, scene.events(scene.shop), False, page_network=network)
    bounds, found = scene.prepared.page_bounds(), []
    for page in range(scene.prepared.num_pages):
        batch = page_batch(scene.prepared, np.array([page]), bounds, predictor.events)
        found.append(predictor.score(scene.prepared, batch))
    return {name: torch.cat([each[name] for each in found]).numpy() for name in found[0]}


def test_every_page_gets_the_scores_of_the_model(scene: Scene, network: PageNetwork) -> None:
    found, expected = of_pages(scene, scene.model, network), of_pages(scene, scene.model, None)
    for name, values in expected.items():
        close = CLOSE if name == "p_click" else PARTS_CLOSE
        np.testing.assert_allclose(found[name], values, rtol=0, atol=close, err_msg=name)
    assert expected["p_click"].std() > 100 * CLOSE


@torch.inference_mode()
def test_a_page_may_be_of_one_candidate_or_of_many(scene: Scene, network: PageNetwork) -> None:
    predictor = Predictor(scene.model, scene.texts, scene.events(scene.shop), False)
    page = page_batch(scene.prepared, np.array([0]), scene.prepared.page_bounds(), predictor.events)
    state = predictor.states(scene.prepared)[0][:1]
    for size in (1, 3, 40):
        rows = torch.arange(size) % len(page["row"])
        names = ("numeric", "categorical", "query_text", "item_text", "page")
        batch: Batch = {**page, **{name: page[name][rows] for name in names}}  # type: ignore[literal-required,typeddict-item]
        vectors = predictor.text_vectors(batch)
        model, states = scene.model, state.expand(size, -1)
        expected = model.score(model.state(states, vectors), batch, model.context(batch, vectors))
        found = network(states, batch, vectors)
        for name in SCORES:
            torch.testing.assert_close(found[name], expected[name], rtol=0, atol=PARTS_CLOSE, msg=f"{name} of {size}")


@pytest.mark.parametrize(
    "changes",
    [
        {"cross_preference": False, "incentive": "outside"},
        {"text_vectors": False, "soft_counts": False, "fusion": "sigmoid"},
        {"user_preference": False, "cross_preference": False, "incentive": "none", "ordinal_head": True},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_networks_with_other_parts_are_written_too(scene: Scene, tmp_path: Path, changes: dict[str, Any]) -> None:
    model = scene.network(**changes)
    found, expected = of_pages(scene, model, written(model, tmp_path)), of_pages(scene, model, None)
    np.testing.assert_allclose(found["p_click"], expected["p_click"], rtol=0, atol=CLOSE)


def test_one_tensor_given_twice_makes_two_inputs(tmp_path: Path) -> None:
    class Difference(torch.nn.Module):
        def forward(self, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
            return (given["left"] - given["right"],)

    same = torch.ones(2)
    write_graph(Difference(), {"left": same, "right": same}, ["gap"], {}, tmp_path / "gap.onnx")
    found = Graph(tmp_path / "gap.onnx")({"left": torch.tensor([3.0, 4.0]), "right": torch.tensor([1.0, 1.0])})
    assert found["gap"].tolist() == [2.0, 3.0]
