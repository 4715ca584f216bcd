"""`python -m rank export`: what serving computes as ONNX, beside the ranker; refused where P(click) moves. [O]"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from prectr.data.contract import has_table, read_table, table_path
from prectr.data.scan import scan_file
from prectr.rank.history.rows import seconds_of
from prectr.rank.inputs.texts import token_tensors
from prectr.rank.model.trained import TrainedRanker
from prectr.rank.serving.export.encoder import pair_states, write_encoder
from prectr.rank.serving.export.exported import NETWORK, Exported, files_of, folder_of, inputs_of, judge_of
from prectr.rank.serving.export.graph import Graph
from prectr.rank.serving.export.page_network import write_page_network
from prectr.rank.serving.live import Candidate, LiveRanker, RankRequest
from prectr.rank.serving.texts.kept_texts import JUDGED, LEARNT
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import print_line
from prectr.shared.run.steps import run_step
from prectr.shared.seeds import generator
from prectr.shared.training.device import compute_device

LARGEST_DIFFERENCE = 1e-4
"""Of P(click) from what torch says; what is farther off is no export."""

PAGES, ROWS, SIZE, TEXTS = 20, 2_000, 20, 100
"""Pages that are compared, rows of the test weeks that they are taken from, candidates of a page that is drawn, and
item texts that are compared as pairs."""

PARITY = "parity.json"
SOURCES = ["prectr.rank.serving.export.encoder", "prectr.rank.serving.export.page_network"]


def export(folder: Path, data: Path | None) -> None:
    """The verb.

    Args:
        folder: of a trained ranker. data: its tables, of which pages are compared; None: those beside the ranker.

    Raises:
        PrectrError: a folder is missing, this machine computes elsewhere, or the graphs say something else.
    """
    data = folder.parent / "data" if data is None else data
    for given, flag in ((folder, "FOLDER"), (data, "--data")):
        if not given.is_dir():
            raise PrectrError(f"{given} is not there: name it with {flag}.")
    if compute_device().type != "cpu":
        raise PrectrError("torch computes on a GPU here, which needs no export: hide it with CUDA_VISIBLE_DEVICES=''.")
    inputs = inputs_of(folder)

    def build(work: Path) -> None:
        written = write_graphs(folder, work)
        texts = read_table(data, "items", ["text"])["text"][:TEXTS].to_pylist()
        of_pairs = [pairs_difference(encoder, work / file, texts) for encoder, file in written]
        distance = largest_difference(folder, data, Exported(work))
        for name, moved in (("P(click)", [distance]), ("P(level)", of_pairs)):
            if not all(each <= LARGEST_DIFFERENCE for each in moved):
                raise PrectrError(
                    f"the graphs move {name} by up to {max(moved):.1g} on {data}, more than {LARGEST_DIFFERENCE:g}: "
                    "serve without them, and report the versions of torch and onnxruntime."
                )
        (work / PARITY).write_text(json.dumps({"p_click_max_delta": distance, "pages": PAGES}) + "\n")

    target = folder_of(folder)
    run_step(target.name, target, inputs, build, sources=SOURCES)
    found = json.loads((target / PARITY).read_text())
    print_line(f"{target}: P(click) within {found['p_click_max_delta']:.1g} of torch's; `rank serve` uses it.")


def write_graphs(folder: Path, work: Path) -> list[tuple[LevelEncoder, str]]:
    """Write what `Exported` reads of a ranker's folder, and the graphs of pairs; returns the encoder of each of
    these."""
    ranker, judge = TrainedRanker.from_pretrained(folder), judge_of(folder)
    encoders = {LEARNT: ranker.model.encoder}
    if judge is not None:
        encoders[JUDGED] = LevelEncoder.from_pretrained(judge)
    for name, encoder in encoders.items():
        write_encoder(encoder, *(work / file for file in files_of(name)))
    write_page_network(ranker.model, ranker.history, work / NETWORK)
    return [(encoder, files_of(name)[1]) for name, encoder in encoders.items()]


@torch.inference_mode()
def pairs_difference(encoder: LevelEncoder, graph: Path, texts: Sequence[str]) -> float:
    """Of P(level) by the graph of pairs from what torch says, each text the query of the next."""
    query = encoder.encode(*token_tensors(encoder.tokenize(texts, "query")))
    item = encoder.encode(*token_tensors(encoder.tokenize([*texts[1:], *texts[:1]], "item")))
    states = encoder.state(query, item), pair_states(Graph(graph), query, item)
    ours, theirs = (encoder.level_logits(state).softmax(-1) for state in states)
    return float((ours - theirs).abs().max())


def largest_difference(folder: Path, data: Path, exported: Exported) -> float:
    """Of P(click) on pages as they were shown, and on the same with texts that no catalogue has."""
    plain, fast = (LiveRanker.open(folder, data, None, which) for which in (None, exported))
    items = read_table(data, "items", ["item_id", "text"])
    texts = dict(zip(items["item_id"].to_pylist(), items["text"].to_pylist(), strict=True))
    pages = list(_shown(data)) or list(_drawn(texts))
    compared = [each for page in pages for each in (page, _of_new_texts(page, texts))]
    return float(max(np.abs(plain.rank(page).p_click - fast.rank(page).p_click).max() for page in compared))


def _shown(data: Path) -> Iterator[RankRequest]:
    """Pages of the test weeks, if there are any."""
    if not has_table(data, "impressions"):
        return
    rows = next(iter(scan_file(table_path(data, "impressions"), "impressions", None, ROWS, "test")), None)
    if rows is None:
        return
    seconds = pa.array(seconds_of(rows["timestamp"]))
    rows = rows.set_column(rows.column_names.index("timestamp"), "timestamp", seconds)
    for _, page in islice(groupby(rows.to_pylist(), key=lambda row: row["page_id"]), PAGES):
        first, *_ = shown = list(page)
        context = [name for name in first if name.startswith("ctx_")]
        candidates = [Candidate(row["item_id"], None, {name: row[name] for name in context}) for row in shown]
        yield RankRequest(first["query"], candidates, first["user_id"], first["timestamp"], first["query_category"])


def _drawn(texts: Mapping[str, str]) -> Iterator[RankRequest]:
    """Items at random, under the text of one of them."""
    ids, draws = list(texts), generator(0, "export")
    for _ in range(PAGES):
        page = [ids[place] for place in draws.permutation(len(ids))[:SIZE].tolist()]
        yield RankRequest(texts[page[0]], [Candidate(item_id) for item_id in page])


def _of_new_texts(page: RankRequest, texts: Mapping[str, str]) -> RankRequest:
    """The page with its texts backwards, as items that the catalogue lacks."""
    given = [(each, " ".join(reversed(texts[each.item_id].split()))) for each in page.candidates]
    return replace(page, candidates=[replace(each, item_id=f"new {each.item_id}", text=text) for each, text in given])
