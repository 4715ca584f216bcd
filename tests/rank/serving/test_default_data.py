"""What is measured is what is used: on the data sets of a finished `make rank`, not on the toy shop alone."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from prectr.data.contract import read_table
from prectr.rank.serving.score_table import score_file
from prectr.rank.serving.scorer import Scorer

ARTIFACTS = Path(__file__).parents[3] / "artifacts"
PAGES = 200


@pytest.mark.data
@pytest.mark.parametrize("name", ["journey", "listings"])
def test_served_scores_are_the_judged_ones(name: str, tmp_path: Path) -> None:
    folder = ARTIFACTS / name
    if not (folder / "ranker" / "predictions.parquet").exists():
        pytest.skip(f"artifacts/{name}/ranker is not there: run make rank first")
    judged = pq.read_table(folder / "ranker" / "predictions.parquet", columns=["impression_id", "split", "p_click"])
    judged = judged.filter(pc.equal(judged["split"], "test"))
    table = read_table(folder / "data", "impressions")
    table = table.filter(pc.equal(table["split"], "test"))
    pages = pc.unique(table["page_id"]).to_numpy(zero_copy_only=False)
    chosen = np.random.default_rng(0).choice(pages, PAGES, replace=False)
    pq.write_table(table.filter(pc.is_in(table["page_id"], pa.array(chosen))), tmp_path / "in.parquet")

    scorer = Scorer.open(folder / "ranker", folder / "data", batch_size=4096)
    score_file(scorer, tmp_path / "in.parquet", tmp_path / "out.parquet", 1000)

    found = pq.read_table(tmp_path / "out.parquet")
    row = pc.index_in(found["impression_id"], value_set=judged["impression_id"].combine_chunks())
    apart = np.abs(np.asarray(found["p_click"]) - np.asarray(judged["p_click"].take(row)))
    assert apart.max() < 1e-5, (apart.mean(), apart.max())
