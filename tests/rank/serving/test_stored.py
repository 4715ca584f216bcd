"""What a run stored is used as long as it is of this ranker and of these texts; else judged anew, or refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prectr.data.contract import read_table
from prectr.rank.serving.scorer import Scorer
from prectr.rank.serving.stored import CHAIN, require_same_run
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import fingerprint_of, run_step
from tests.rank.toy_run import split_of

Change = Callable[[list[str], list[str]], tuple[list[str], list[str]]]


def turned(ids: list[str], texts: list[str]) -> tuple[list[str], list[str]]:
    return ids, texts[::-1]


CHANGES: dict[str, Change] = {
    "all texts turned round": turned,
    "one text": lambda ids, texts: (ids, ["red table", *texts[1:]]),
    "ids exchanged": lambda ids, texts: ([ids[1], ids[0], *ids[2:]], texts),
    "a word added": lambda ids, texts: (ids, [f"{text} cheap" for text in texts]),
    "rows in another order": lambda ids, texts: (ids[::-1], texts[::-1]),
    "nothing": lambda ids, texts: (ids, texts),
}


@pytest.mark.parametrize("change", CHANGES)
def test_pairs_of_changed_texts_are_judged_anew_and_others_are_not(home: Path, tmp_path: Path, change: str) -> None:
    newer = Path(shutil.copytree(home / "data", tmp_path / "newer"))
    items = pq.read_table(newer / "items.parquet")
    old = dict(zip(items["item_id"].to_pylist(), items["text"].to_pylist(), strict=True))
    ids, texts = CHANGES[change](list(old), list(old.values()))
    for name, values in (("item_id", ids), ("text", texts)):
        items = items.set_column(items.column_names.index(name), name, pa.array(values))
    pq.write_table(items, newer / "items.parquet")
    scorer = Scorer.open(home / "ranker", newer, batch_size=4096)
    rows, now = split_of(home, "test").slice(0, 80), dict(zip(ids, texts, strict=True))
    found = scorer.stage_one.of(rows).lookup(rows["query"], rows["item_id"])
    asked = rows["item_id"].to_pylist()
    anew = scorer.stage_one.encoder.score_pairs(rows["query"].to_pylist(), [now[item] for item in asked])
    stored = pq.read_table(home / "level_prob" / "level_prob.parquet")
    keys = zip(stored["query"].to_pylist(), stored["item_id"].to_pylist(), strict=True)
    kept = dict(zip(keys, stored["level_prob"].to_pylist(), strict=True))
    for row, key in enumerate(zip(rows["query"].to_pylist(), asked, strict=True)):
        expected = kept[key] if now[key[1]] == old[key[1]] else anew[row]
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


def a_run(folder: Path) -> None:
    """Folders that say what each was made of, as a run leaves them."""
    for name in ("level_prob", "text_vectors", "behaviours", "features", "trained", "ranker"):
        made_of = {of: fingerprint_of(folder / of) for made, of in CHAIN if made == name}
        run_step(name, folder / name, made_of, lambda work: (work / "it").write_text("it") and None)


@pytest.mark.parametrize("step", ["level_prob", "text_vectors", "behaviours", "features", "trained"])
def test_a_step_done_again_behind_the_ranker_is_refused(tmp_path: Path, step: str) -> None:
    a_run(tmp_path)
    require_same_run(tmp_path / "ranker", tmp_path)
    run_step(step, tmp_path / step, {"encoder": "newer"}, lambda work: (work / "it").write_text("it") and None)
    with pytest.raises(PrectrError, match=f"{step} is no longer what .* was made of: run `python -m rank run` again"):
        require_same_run(tmp_path / "ranker", tmp_path)


def test_a_ranker_without_a_run_has_nothing_to_compare(tmp_path: Path) -> None:
    a_run(tmp_path / "run")
    shutil.copytree(tmp_path / "run" / "ranker", tmp_path / "alone" / "ranker")
    require_same_run(tmp_path / "alone" / "ranker", tmp_path / "alone")


def test_the_runs_own_data_changed_after_it_judged_them(home: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(home, tmp_path / "run"))
    run_step("level_prob", run / "again", {"data": "what it was"}, lambda work: None)
    shutil.copyfile(run / "again" / "step.json", run / "level_prob" / "step.json")
    scorer = Scorer.open(run / "ranker", run / "data", batch_size=4096)
    pairs = split_of(run, "test").slice(0, 5)
    texts = dict(
        zip(*(read_table(run / "data", "items")[name].to_pylist() for name in ("item_id", "text")), strict=True)
    )
    expected = scorer.stage_one.encoder.score_pairs(
        pairs["query"].to_pylist(), [texts[item] for item in pairs["item_id"].to_pylist()]
    )
    found = scorer.stage_one.of(pairs).lookup(pairs["query"], pairs["item_id"])
    np.testing.assert_allclose(found, expected, atol=1e-5)
