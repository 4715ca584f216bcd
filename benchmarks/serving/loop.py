"""The loop closes: people use a ranker, what they did is absorbed, a ranker that learnt from it stands against the old.

    python -m prectr data build --profile smoke && python -m prectr distill run --profile smoke
    python -m prectr rank run --profile smoke
    python -m benchmarks.serving.loop

It works on a copy of the run and goes through the service's own routes, in this process: HTTP would add nothing.
`loop.json`: how many of the new shoppers' interleaved pages each ranker won, and the interval of the advantage.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from benchmarks.command_line import read_arguments
from benchmarks.provenance import provenance
from benchmarks.serving.shoppers import Shoppers
from prectr.data.contract import read_table
from prectr.rank.__main__ import main as rank
from prectr.rank.history.rows import seconds_of
from prectr.rank.service.app import create_app
from prectr.rank.service.retrieval import Catalogue
from prectr.rank.service.settings import Settings
from prectr.rank.serving.journal import Journal
from prectr.rank.serving.live import LiveRanker
from prectr.rank.serving.traffic.compare import compared
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import console
from prectr.shared.seeds import generator

MODULE = "benchmarks.serving.loop"
HOUR = 3600


@dataclass
class LoopArguments:
    """Who uses what, for how long."""

    name: str = field(default="toy", metadata={"help": "run on the toy shop: the folder artifacts/<name>"})
    artifacts: str = field(default="artifacts", metadata={"help": "folder of everything generated"})
    profile: str = field(default="smoke", metadata={"help": "profile of the new ranker's training"})
    sessions: int = field(default=2_000, metadata={"help": "searches that the new ranker learns from"})
    judged: int = field(default=500, metadata={"help": "searches after them, interleaved"})
    shoppers: int = field(default=150, metadata={"help": "people who search"})
    seed: int = field(default=0, metadata={"help": "of the shoppers"})
    results: str = field(default="benchmarks/results", metadata={"help": "folder of loop.json"})

    @property
    def run(self) -> Path:
        return Path(self.artifacts).absolute() / self.name


def main(argv: list[str]) -> None:
    arguments = read_arguments(LoopArguments, MODULE, argv)
    for needed in ("ranker", "encoder", "data"):
        if not (arguments.run / needed).is_dir():
            raise PrectrError(f"{arguments.run / needed} is not there: run `python -m rank run --profile smoke`.")
    with tempfile.TemporaryDirectory() as folder:
        found = close_the_loop(arguments, Path(folder), retrain)
    result = {**found, **provenance(MODULE, argv), "data": arguments.name}
    path = Path(arguments.results) / "loop.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    console.print(json.dumps(found, indent=2), markup=False, highlight=False)


def retrain(arguments: LoopArguments, artifacts: Path, name: str) -> None:
    """A ranker on the tables in artifacts/<name>/data, from the old run's encoder."""
    where = ["--artifacts", str(artifacts), "--name", name, "--encoder", str(arguments.run / "encoder")]
    rank(["run", "--profile", arguments.profile, *where])


def close_the_loop(
    arguments: LoopArguments, folder: Path, train: Callable[[LoopArguments, Path, str], None]
) -> dict[str, Any]:
    """Both rankers' wins on the sessions after those that the new one learnt from."""
    old, new = arguments.run / "ranker", folder / "new" / "ranker"
    shutil.copytree(arguments.run / "data", folder / "new" / "data")
    data, journal = folder / "new" / "data", folder / "journal.sqlite"
    shoppers = Shoppers(data, arguments.shoppers, arguments.seed)
    last = int(seconds_of(read_table(data, "behaviours", ["timestamp"])["timestamp"])[-1])
    with TestClient(_app(LiveRanker.open(old, arguments.run / "data", journal))) as client:
        use(client, shoppers, arguments.sessions, last + HOUR, "learnt from")
    rank(["absorb", "--profile", arguments.profile, "--data", str(data), "--journal", str(journal)])
    train(arguments, folder, "new")
    later = int(seconds_of(read_table(data, "behaviours", ["timestamp"])["timestamp"])[-1]) + HOUR
    # Both remember everything; they differ in what they learnt.
    champion, challenger = (LiveRanker.open(ranker, data, journal) for ranker in (old, new))
    with TestClient(_app(champion, challenger)) as client:
        use(client, shoppers, arguments.judged, later, "judged")
    with Journal(journal) as opened:
        found: dict[str, Any] = compared(opened.pages(), opened.read().events)["interleaved"]
    return {"sessions": arguments.sessions, "judged_sessions": arguments.judged, **found}


def _app(champion: LiveRanker, challenger: LiveRanker | None = None) -> FastAPI:
    """What answers: all of it interleaved with the challenger's, where there is one."""
    settings, catalogue = Settings(share=1.0, interleaved=True), Catalogue.of_table(champion.scorer.items)
    return create_app(champion, settings, catalogue, challenger=challenger)


def use(client: TestClient, shoppers: Shoppers, count: int, begin: int, name: str) -> None:
    """Sessions one after another: a search, what was looked at, perhaps a click."""
    draws = generator(0, "loop", name)
    for number, session in enumerate(shoppers.sessions(count, begin, name)):
        answer = _posted(client, "/v1/rank", session.body)
        shown = [answer["item_id"][place] for place in answer["order"]]
        looked, clicked = shoppers.behave(session, shown, draws)
        common = {key: session.body[key] for key in ("query", "query_category", "user_id", "timestamp")}
        common["page_id"] = answer["page_id"]
        events = [
            {**common, "event_id": f"{name} {number} {item}", "kind": "impression", "item_id": item} for item in looked
        ]
        if clicked is not None:
            events.append({**common, "event_id": f"{name} {number} click", "kind": "click", "item_id": clicked})
        _posted(client, "/v1/events", {"events": events})


def _posted(client: TestClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=body)
    if answer.status_code != 200:
        raise PrectrError(f"{path} answers {answer.status_code}, {answer.text[:200]}: it should answer 200.")
    found: dict[str, Any] = answer.json()
    return found


if __name__ == "__main__":
    run_main(main)
