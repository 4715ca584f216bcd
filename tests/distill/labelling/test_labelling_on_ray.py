"""The labelling job on a cluster: the table of one process, whoever dies, and the same word where a teacher is mute."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from prectr.distill.labelling.cache import LabelCache
from prectr.distill.labelling.job import label, write_labels
from prectr.distill.teachers.base import Judgement, Pair
from prectr.shared.engine.job import Engine
from prectr.shared.engine.plain import PLAIN
from prectr.shared.errors import PrectrError
from tests.distill.labelling.test_labelling_job import SHARD_SIZE, Slow, job
from tests.shared.engine.clusters import cluster, killing

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


class Mute(Slow):
    """Judges nothing."""

    def score(self, pairs: list[Pair]) -> Judgement:  # type: ignore[override]
        return Judgement(np.full((len(pairs), 2), np.nan, np.float32))


@pytest.fixture(scope="module", params=[1, 2])
def engine(request):
    with cluster(request.param) as engine:
        yield engine


def labelled(folder: Path, engine: Engine, kind: type[Slow] = Slow, seconds: float = 0.0) -> bytes:
    folder.mkdir(exist_ok=True)
    reopen = partial(kind, folder / "notes", seconds)
    cache = LabelCache(folder / "label_cache", Slow.fingerprint)
    label(reopen(), job(), cache, SHARD_SIZE, engine=engine, reopen=reopen)
    write_labels(folder, cache, job(), np.full(len(job()), "logged", object))
    assert not list((cache.folder / "parts").glob("*"))
    return (folder / "labels.parquet").read_bytes()


def test_the_table_is_that_of_one_process(engine, tmp_path) -> None:
    expected = labelled_plainly(tmp_path)
    with killing(1) as killed:
        assert labelled(tmp_path / "cluster", engine, seconds=0.05) == expected
    assert len(killed) == 1
    asked = (tmp_path / "cluster" / "notes").read_text().splitlines()
    assert len(set(asked)) == 100 and len(asked) <= 100 + SHARD_SIZE


def labelled_plainly(folder: Path) -> bytes:
    plain = folder / "plain"
    plain.mkdir()
    cache = LabelCache(plain / "label_cache", Slow.fingerprint)
    label(Slow(plain / "notes", 0.0), job(), cache, SHARD_SIZE, engine=PLAIN)
    write_labels(plain, cache, job(), np.full(len(job()), "logged", object))
    return (plain / "labels.parquet").read_bytes()


def test_a_mute_teacher_is_not_asked_to_the_end(engine, tmp_path) -> None:
    with pytest.raises(PrectrError, match="label_max_rejected"):
        labelled(tmp_path / "mute", engine, Mute)
