"""The documented way for a shop that is not English: ratings in, an encoder from its own texts out, better than letters
are; on a small German and a small Chinese set.
"""

from pathlib import Path
from typing import Any

import pytest

from prectr.data.__main__ import main as data_main
from prectr.distill.__main__ import main as distill_main
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.run.schema import read_json
from tests.languages.small_shops import LEVELS, SHOPS, write_ratings

COLUMNS = ["--query", "suche", "--item", "titel", "--level", "note", "--level_names", *LEVELS]
SETTINGS: dict[str, Any] = {
    **{"init_from": "scratch", "vocabulary_size": 400, "num_layers": 1, "query_length": 16, "item_length": 16},
    **{"teacher": "random-cross-encoder", "teacher_pairs": 2000, "cross_encoder_epochs": 2},
    **{"label_pairs": 1500, "label_strategies": "random", "distill_epochs": 1, "sft_epochs": 8},
}


@pytest.fixture(scope="module", params=list(SHOPS))
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`artifacts/<name>` of a finished stage one."""
    artifacts, name = tmp_path_factory.mktemp(request.param), request.param
    ratings = artifacts / "ratings.csv"
    write_ratings(SHOPS[name], ratings)
    data_main(["convert", "table", str(ratings), "--name", name, "--artifacts", str(artifacts), *COLUMNS])
    flags = [f"--{setting}={value}" for setting, value in SETTINGS.items()]
    distill_main(["run", "--profile", "smoke", "--name", name, "--artifacts", str(artifacts), *flags])
    return artifacts / name


@pytest.mark.slow
def test_the_encoder_knows_more_than_letters_do(shop: Path) -> None:
    found = read_json(shop / "encoder" / "metrics.json")
    student, letters = found["student"]["test"], found["tfidf"]["test"]
    for measure in ("spearman", "within_query_spearman", "within_query_ndcg", "auc_random"):
        assert student[measure] > letters[measure], (measure, student, letters)


@pytest.mark.slow
def test_it_reads_the_shops_own_script(shop: Path) -> None:
    encoder = LevelEncoder.from_pretrained(shop / "encoder")
    query, right, wrong = {
        "deutsch": ("Handy rot", "Hansa rote Smartphone 128 GB", "Möwe grüne Läufer kurzflorig"),
        "zhongwen": ("红手机", "海风红色智能终端128G", "明月绿色短绒地垫"),
    }[shop.name]
    level_prob = encoder.score_pairs([query, query], [right, wrong])
    assert level_prob.shape == (2, 4) and level_prob[0].argmax() > level_prob[1].argmax()
