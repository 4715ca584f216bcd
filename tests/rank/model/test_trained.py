"""A ranker's folder whose weights are not its own, or not all there, is refused by the tensor's name."""

import shutil
from pathlib import Path

import pytest

from prectr.rank.model.trained import TrainedRanker
from tests.shared.test_pretrained import DAMAGES, refuses


@pytest.mark.parametrize("part", ["", "encoder/", "encoder/level_head/"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_that_do_not_fit(home: Path, tmp_path: Path, damage: str, part: str) -> None:
    harm, complaint = DAMAGES[damage]
    ranker = Path(shutil.copytree(home / "ranker", tmp_path / "ranker"))
    (ranker / "step.json").unlink()  # as of a hub; where there is one, it names the file
    harm(ranker / f"{part}model.safetensors")
    refuses(complaint, lambda: TrainedRanker.from_pretrained(ranker))
