"""Matrices that lie in bfloat16 give what autocast makes of those in float32."""

from pathlib import Path

import torch
from torch import nn

from prectr.rank.model.narrowed import narrowed
from tests.rank.random_network import Scene


def test_a_narrowed_network_scores_as_the_wide_one_under_autocast(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    model, batch = scene.network(), scene.batch(scene.prepared)
    narrow = narrowed(model)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected, found = model(batch), narrow(batch)
    for name in ("score", "click_logits", "level_logits", "tau"):
        assert torch.equal(found[name], expected[name]), name
    assert narrow.encoder is model.encoder
    kinds = {part.weight.dtype for part in model.modules() if isinstance(part, nn.Linear)}
    assert kinds == {torch.float32} and narrow.first_layer.weight.dtype == torch.bfloat16
