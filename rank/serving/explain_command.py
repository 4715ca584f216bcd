"""`python -m rank explain`: a page of the tables by its id, or any query with any items, taken apart.

A page of the tables is explained as it was: at its time, with what was known then. A query of one's own is asked after
the last event of the log, unless a time is named; items that the catalogue lacks are given by their text.
"""

import difflib
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from prectr.data.contract import has_table, read_table, reconstructed
from prectr.rank.config import WhereArguments
from prectr.rank.serving import given
from prectr.rank.serving.config import DataArguments, ExplainArguments, RankerArguments
from prectr.rank.serving.explain import explain_page, without_a_page
from prectr.rank.serving.explain_screen import show
from prectr.rank.serving.live import Candidate, LiveRanker, RankRequest
from prectr.rank.serving.scorer import Scorer, ranker_and_data
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import visible
from prectr.shared.strict_json import loads

NAMED = 5
"""Pages that a refusal names."""


def explain(
    run: WhereArguments,
    chosen: RankerArguments,
    where: DataArguments,
    batch_size: int,
    arguments: ExplainArguments,
) -> None:
    """The verb: explain one page, and print it.

    Raises:
        PrectrError: there is no such page or item, or ranker or data folder are missing.
    """
    ranker, data = ranker_and_data(run, chosen, where)
    if arguments.query is None:
        page = stored_page(data, arguments.page, arguments.split)
    with redirect_stdout(sys.stderr):  # what is said while opening is not part of the answer
        if arguments.query is None:
            scorer = Scorer.open(ranker, data, batch_size)
            gold = read_table(data, "gold") if has_table(data, "gold") else None
            facts = explain_page(scorer, page, gold, arguments.top_events, arguments.top_features)
        else:
            live = LiveRanker.open(Path(ranker), data)
            request = request_of(live, data, arguments)
            facts = without_a_page(live.explain(request, arguments.top_events, arguments.top_features))
    facts["reconstructed"] = reconstructed(data)
    if arguments.json:
        print(visible(json.dumps(facts, indent=1, ensure_ascii=False)))  # an escape of JSON's too
    else:
        show(facts, ranker)


def stored_page(data: Path, page: int | None, split: str) -> pa.Table:
    """The rows of a page of the tables.

    Raises:
        PrectrError: it is in another split, or there is none; the message names some that are there.
    """
    impressions = read_table(data, "impressions")
    of_page = impressions.filter(pc.field("page_id") == page)
    rows = of_page.filter(pc.field("split") == split)
    if rows.num_rows:
        return rows
    if of_page.num_rows:
        found = ", ".join(pc.unique(of_page["split"]).to_pylist())
        remedy = f"it is in split {found}: add --split"
    else:
        there = pc.unique(impressions.filter(pc.field("split") == split)["page_id"]).to_pylist()
        splits = ", ".join(pc.unique(impressions["split"]).to_pylist())
        some = ", ".join(map(str, there[:NAMED]))
        remedy = f"there are {some} and {len(there) - NAMED:,} others" if len(there) > NAMED else f"there are {some}"
        if not there:
            remedy = f"no page is in that split: name one of {splits} with --split"
    raise PrectrError(f"{data}/impressions.parquet has no page {page} in {split!r}; {remedy}.")


def request_of(live: LiveRanker, data: Path, arguments: ExplainArguments) -> RankRequest:
    """The page that was asked for by a query and items.

    Raises:
        PrectrError: an item is neither an id of the catalogue, nor a text, nor a mapping.
    """
    ids = set(live.scorer.items["item_id"].to_pylist())
    candidates = [candidate_of(live, word, number, ids) for number, word in enumerate(arguments.items, 1)]
    query, time = given.text(arguments.query, "--query"), arguments.time
    if query is None:
        raise PrectrError("--query is empty: give what was typed.")
    second = last_second(data) + 1 if time is None else given.seconds(_number_or_text(time), "--time")
    return RankRequest(query, candidates, arguments.user, second)


def candidate_of(live: LiveRanker, word: str, number: int, ids: set[str]) -> Candidate:
    """An item as the command line names it: the id of one that is known, the text of a new one, or JSON with its
    `text`, `category` and attributes.
    """
    if word in ids:
        row = live.scorer.items.slice(pc.index(live.scorer.items["item_id"], word).as_py(), 1).to_pylist()[0]
        # As on the page that `rank serve` shows: a number of the item is also that of its place there.
        return Candidate(word, None, {f"ctx_{name}": row[name] for name in row if name.startswith("num_")})
    where = f"--items, number {number}"
    if word.lstrip().startswith("{"):
        return _described(live, word, where)
    if len(word.split()) > 1:
        return Candidate(f"new item {number}", given.text(word, where))
    near = difflib.get_close_matches(word, ids, 1)
    hint = f"is it {near[0]!r}" if near else "write an item_id"
    raise PrectrError(
        f"{where}: {word!r} is no item of the catalogue: {hint}, or the text of a new one, of one word as "
        '\'{"text": "…"}\'?'
    )


def _described(live: LiveRanker, word: str, where: str) -> Candidate:
    """An item given as JSON."""
    try:
        found = loads(word)
    except ValueError as error:
        raise PrectrError(f'{where}: {word[:60]!r} is no JSON ({error}): write it as {{"text": "…"}}.') from None
    columns = live.scorer.ranker.columns
    features = (*columns.items, *columns.context)
    known = {"item_id", "text", "category", *features}
    found = live.own_names.read(found, known, where)
    given.check_keys(found, known, where)
    text, read = given.text(found.get("text"), f"{where}: 'text'"), {True: given.number, False: given.name}
    attributes = {
        name: read[name.startswith(("num_", "ctx_num_"))](found[name], f"{where}: {name!r}")
        for name in ("category", *features)
        if name in found
    }
    item_id = given.name(found.get("item_id"), f"{where}: 'item_id'")
    return Candidate(item_id or f"new item: {where}", text, attributes)


def last_second(data: Path) -> int:
    """When the log ends, in seconds since 1970; 0 where there is none."""
    if not has_table(data, "behaviours"):
        return 0
    last = pc.max(read_table(data, "behaviours", ["timestamp"])["timestamp"]).as_py()
    return 0 if last is None else given.seconds(last, "behaviours.parquet")


def _number_or_text(word: str) -> Any:
    return int(word) if word.isdecimal() else word
