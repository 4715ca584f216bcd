"""The serving benchmark from its command line to its file, on the toy shop: in this process, and once in one that is
killed."""

import json
import shutil
import sqlite3
import time
from functools import partialmethod
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

import benchmarks.serving.__main__ as serving
import benchmarks.serving.rivals as rivals
from benchmarks.serving import events, parity
from benchmarks.serving.pages import Larger, judged_pages, requests_of
from benchmarks.serving.server import Server, encoded
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.service.app import create_app
from prectr.rank.service.retrieval import Catalogue
from prectr.rank.service.settings import Settings
from prectr.rank.serving.live import LiveRanker
from prectr.rank.training.trees import Rows, fit_lightgbm
from prectr.rank.workspace import TREES_FILE
from prectr.shared.errors import PrectrError
from tests.rank.toy_run import copy_run, predictions, split_of
from tests.rank.training.random_rows import SMALL


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with what it predicts of the test weeks, and features of every split."""
    home = copy_run(tmp_path_factory, tmp_path_factory.mktemp("artifacts") / "toy")
    table = split_of(home, "test")
    predicted = {"impression_id": table["impression_id"], "split": pa.array(["test"] * table.num_rows)}
    p_click = pa.array(predictions(home, "test")["p_click"].astype(np.float32))
    pq.write_table(pa.table({**predicted, "p_click": p_click}), home / "ranker" / "predictions.parquet")
    for split in ("validation", "test"):
        shutil.copytree(home / "features" / "train", home / "features" / split)
    rows = Rows.of(PreparedSet.open(home / "features" / "train"), 1.0)
    trees, folder = fit_lightgbm(rows, rows, 0, 1, SMALL), home / "lightgbm"
    folder.mkdir(exist_ok=True)
    trees.save(folder / TREES_FILE)
    (folder / "rival.json").write_text(json.dumps({"settings": dict(trees.settings)}))
    return home


class Here:
    """A server in this process; a kill is a journal that is closed while nobody is served."""

    seconds_to_ready = 0.0

    def __init__(self, run: Path, journal: Path, data: Path | None = None, workers: int = 1) -> None:
        self._opened = run / "ranker", data or run / "data", journal

    def __enter__(self) -> "Here":
        self._live = LiveRanker.open(*self._opened)
        self._client = TestClient(create_app(self._live, Settings(), Catalogue.of_table(self._live.scorer.items)))
        self._killed = False
        return self

    def __exit__(self, *_: object) -> None:
        self._live.close()

    def caller(self) -> SimpleNamespace:
        def send(path: str, body: bytes) -> bytes:
            if self._killed:
                raise ConnectionResetError
            answer = self._client.post(path, content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 200, answer.text
            return answer.content

        return SimpleNamespace(
            ask=lambda path, body: (200, send(path, body)),
            send=send,
            post=lambda path, body: json.loads(send(path, encoded(body))),
            close=lambda: None,
        )

    def kill(self) -> None:
        while len(self._live.scorer.log) == len(self._live.scorer.live_log.base):  # under load: something is taken
            time.sleep(0.01)
        self._killed = True

    def memory(self) -> int:
        return len(self._live.scorer.log) * 1000


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (serving, events):
        monkeypatch.setattr(module, "Server", Here)
    monkeypatch.setattr(events, "MOST_SECONDS", 0.2)
    sizes = {"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
    monkeypatch.setattr(rivals, "MINILM", sizes)


@pytest.mark.slow
def test_every_figure_is_measured_or_says_why_not(run: Path, here: None, tmp_path: Path) -> None:
    arguments = ["--artifacts", str(run.parent), "--name", run.name, "--quick", "true", "--results", str(tmp_path)]
    serving.main(arguments)
    written = json.loads((tmp_path / "serving.json").read_text())
    assert list(written)[: len(serving.KEYS)] == list(serving.KEYS)
    assert {key for key in serving.KEYS if written[key] is None} == set(written["not_measured"]) == set()
    for key in ("p50_ms", "p99_ms"):
        assert list(written[key]) == ["25", "100", "200", "300"] and min(written[key].values()) > 0
    assert all(written["p99_ms"][size] >= median for size, median in written["p50_ms"].items())
    assert written["parity_max_delta"] < 1e-5 and written["live_parity_max_delta"] < 1e-5
    assert written["lost_events"] == written["doubled_events"] == 0
    assert written["facts"]["acknowledged_before_kills"] > 0 and written["facts"]["live_events"] > 0
    # Seven events of a user are six rows: the click is on a row that was shown.
    assert written["bytes_per_user"] == 6000
    assert min(written[key] for key in ("cold_100_texts_ms", "events_per_s", "requests_per_s")) > 0
    assert written["load"]["below"]["answers"].keys() == {"200"} and written["requests_per_s_2_workers"] > 0
    assert written["lightgbm_100_rows_ms"] > 0 and written["minilm_ort_int8_100_pairs_ms"] > 0


def test_what_is_not_asked_for_is_not_measured(run: Path, here: None, tmp_path: Path) -> None:
    where = ["--artifacts", str(run.parent), "--name", run.name, "--results", str(tmp_path), "--quick", "true"]
    serving.main([*where, "--parts", "parity"])
    written = json.loads((tmp_path / "serving.json").read_text())
    assert [key for key in serving.KEYS if written[key] is not None] == ["parity_max_delta"]
    reasons = {key: reason for key, reason in written["not_measured"].items() if key != "parity_max_delta"}
    assert set(reasons) == set(serving.KEYS) - {"parity_max_delta"} and set(reasons.values()) == {"not measured yet"}
    with pytest.raises(PrectrError, match="name some of"):
        serving.main([*where, "--parts", "speed"])
    with pytest.raises(PrectrError, match="no finished run"):
        serving.main([*where, "--name", "nowhere"])


def test_what_is_written_down_is_not_measured_again(
    run: Path, here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ["--artifacts", str(run.parent), "--name", run.name, "--results", str(tmp_path), "--quick", "true"]
    asked = list[str]()

    def measure(self: serving.Figures, part: str) -> dict[str, float]:
        asked.append(part)
        if part == "kills" and asked.count(part) == 1:
            raise PrectrError("the server ended")
        if part == "live_parity" and asked.count(part) == 1:
            raise KeyboardInterrupt
        return dict.fromkeys(serving.OF_PART[part], len(asked))

    for part in serving.OF_PART:
        monkeypatch.setattr(serving.Figures, f"_{part}", partialmethod(measure, part))
    serving.main([*where, "--parts", "parity", "kills"])
    with pytest.raises(KeyboardInterrupt):  # a kill
        serving.main([*where, "--parts", "parity", "latency", "live_parity"])
    serving.main(where)
    assert asked == [
        "parity",
        "kills",
        "latency",
        "live_parity",
        "lightgbm",
        "minilm",
        "load",
        "workers",
        "events",
        "live_parity",
        "kills",
    ]
    written = json.loads((tmp_path / "serving.json").read_text())
    assert written["parity_max_delta"] == 1 and written["lost_events"] == 11 and not written["not_measured"]
    serving.main([*where, "--pages", "9", "--quick", "false"])
    assert asked.count("parity") == 2
    serving.main([*where, "--pages", "9", "--quick", "false", "--again", "true", "--parts", "parity"])
    assert asked.count("parity") == 3


def test_a_wrong_score_a_lost_and_a_doubled_event_are_seen(
    run: Path, here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = judged_pages(run)[:2]
    wrong = [page.__class__(page.second, page.body, page.p_click + 0.1, page.clicked) for page in pages]
    with Here(run, tmp_path / "a.sqlite") as server:
        assert parity.parity(server, wrong).delta == pytest.approx(0.1, abs=1e-4)  # type: ignore[arg-type]

    class Loses(Here):
        def __enter__(self) -> Here:
            if self._opened[2].exists():
                with sqlite3.connect(self._opened[2]) as connection:
                    connection.execute("DELETE FROM events WHERE row <= 3")
            return super().__enter__()

    monkeypatch.setattr(events, "Server", Loses)
    found = events.kill_under_load(run, tmp_path / "b.sqlite", judged_pages(run), 1, judged_pages(run)[-1].second)
    assert found.lost == 3 and found.doubled == 0


def test_pages_of_any_size_hold_each_item_once(run: Path) -> None:
    page, larger = judged_pages(run)[0], Larger(run, 5)
    for size in (3, 30):
        body = larger.of(page, size, np.random.default_rng(0))
        ids = [each["item_id"] for each in body["candidates"]]
        assert len(ids) == len(set(ids)) == size and body["timestamp"] == 5
        own = [each["item_id"] for each in page.candidates]
        assert ids[: len(own)] == own[:size]


def test_the_events_of_a_second_stay_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.serving.pages.MOST_EVENTS", 3)
    seconds = [[{"timestamp": second}] * size for second, size in enumerate((2, 1, 4, 1))]
    sizes = [[event["timestamp"] for event in body["events"]] for body in requests_of(seconds)]
    assert sizes == [[0, 0, 1], [2, 2, 2, 2], [3]]


@pytest.mark.slow
def test_a_server_is_a_process_of_its_own_that_can_be_killed(run: Path, tmp_path: Path) -> None:
    page = judged_pages(run)[-1]
    with Server(run, tmp_path / "journal.sqlite") as server:
        assert server.seconds_to_ready > 0 and server.memory() > 1 << 20
        caller = server.caller()
        assert np.abs(np.array(caller.post("/v1/rank", page.body)["p_click"]) - page.p_click).max() < 1e-5
        with pytest.raises(PrectrError, match="answers 422"):
            caller.post("/v1/rank", {"query": "a"})
        server.kill()
        with pytest.raises(OSError):
            server.caller().post("/v1/rank", page.body)
    with pytest.raises(PrectrError, match="ended before it answered"), Server(tmp_path / "none", tmp_path / "j"):
        pass
