"""`python -m rank score --impressions new.parquet --output scores.parquet`: scores for any impressions table.

The table is read in blocks of whole pages, so that memory grows with a block and with the log of past events, not with
the table. Beforehand one pass over its page ids finds where each page ends: a page need not lie in one piece. Of data
that were converted, the table may have the shop's own names for its columns, and page ids that are no numbers.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.data.contract import MAY_BE_ABSENT, OPTIONAL_COLUMNS, PREFIXES, SCHEMAS, own_names, reconstructed
from prectr.rank.config import WhereArguments
from prectr.rank.serving.config import DataArguments, RankerArguments, ScoreArguments
from prectr.rank.serving.own_names import CONTRACT, OwnNames
from prectr.rank.serving.scorer import Scorer, ranker_and_data
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.outputs import check_output
from prectr.shared.run.console import console, progress_bar
from prectr.shared.run.console import table as show_table
from prectr.shared.storage.unpacking import open_parquet
from prectr.shared.store.at_hand import here
from prectr.shared.values.times import FIRST, LAST, seconds_of

NEEDED = ("page_id", "query", "item_id", "timestamp")
OPTIONAL = MAY_BE_ABSENT["impressions"]
KEPT = ("impression_id", "position", "clicked", "split", *OPTIONAL_COLUMNS["impressions"])  # where the file has them
PER_PAGE = ("user_id", "query", "query_category", "timestamp")


def score(
    run: WhereArguments,
    chosen: RankerArguments,
    given: DataArguments,
    batch_size: int,
    arguments: ScoreArguments,
) -> None:
    """The verb: open the ranker, score the table, say where the scores are.

    Raises:
        PrectrError: ranker, data folder or table is missing or does not fit; nothing is written then.
    """
    impressions = here(arguments.impressions)
    ranker, data = ranker_and_data(run, chosen, given)
    names = OwnNames(own_names(data))
    open_impressions(impressions, names)
    output = check_output(arguments.output, "--output", [impressions, ranker, data])
    scorer = Scorer.open(ranker, data, batch_size)
    summary = score_file(scorer, impressions, output, arguments.rows_at_once, names)
    show_table(
        f"Scores of {impressions} by {ranker}",
        ["impressions", "pages", "known users' share", "mean p_click", "mean tau"],
        [[summary[name] for name in ("rows", "pages", "known_users", "p_click", "tau")]],
        f"Past events from {data}. {reconstructed(data)}",
    )
    console.print(f"Files: {output}", highlight=False)
    console.print(f"Next:  python -m rank explain --page PAGE_ID --name {run.name}", highlight=False, soft_wrap=True)


def score_file(
    scorer: Scorer, impressions: Path, output: Path, rows_at_once: int, names: OwnNames = CONTRACT
) -> dict[str, float]:
    """Score every impression of a Parquet file into another, which appears only when it is whole.

    The output has a row per impression: `impression_id` (or `row`, from 0, where the table has none), `p_click`,
    `level_prob` [K], `p_click_given_level` [K] and `tau`.

    Args:
        names: what the shop calls the columns; the file may use these names, too.

    Returns:
        Counts and means: rows, pages, known_users (share of rows), p_click, tau.

    Raises:
        PrectrError: the table lacks a column, or a page has two users, queries or times.
    """
    file = open_impressions(impressions, names)
    named = "impression_id" in file.schema_arrow.names
    levels = pa.list_(pa.float32(), scorer.ranker.model.config.num_levels)
    schema = pa.schema(
        [
            ("impression_id" if named else "row", pa.int64()),
            *(("p_click", pa.float32()), ("level_prob", levels)),
            *(("p_click_given_level", levels), ("tau", pa.float32())),
        ]
    )
    totals = dict.fromkeys(("rows", "pages", "known_users", "p_click", "tau"), 0.0)
    with (
        atomic_write(output) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
        progress_bar("scoring", file.metadata.num_rows, "impressions") as advance,
    ):
        for rows, block in page_blocks(impressions, scorer.ranker.columns.context, rows_at_once, names):
            shop, raw, prepared = scorer.prepare(block)
            found = scorer.predict(shop, prepared)
            columns = {
                schema.names[0]: block["impression_id"] if named else pa.array(rows),
                **{name: _as_column(found[name]) for name in schema.names[1:]},
            }
            writer.write_table(pa.table(columns).cast(schema))
            totals["rows"] += len(block)
            totals["pages"] += prepared.num_pages
            totals["known_users"] += float((raw.user >= 0)[raw.page].sum())
            for name in ("p_click", "tau"):
                totals[name] += float(found[name].sum())
            advance(len(block))
    means = {name: totals[name] / max(totals["rows"], 1) for name in ("known_users", "p_click", "tau")}
    return {"rows": int(totals["rows"]), "pages": int(totals["pages"]), **means}


def _as_column(values: np.ndarray) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def open_impressions(path: Path, names: OwnNames = CONTRACT) -> pq.ParquetFile:
    """The file, seen to have every column that scoring needs; context columns are the ranker's affair.

    Raises:
        PrectrError: there is no such file, it is no Parquet file, or a column is missing.
    """
    if not Path(path).is_file():
        raise PrectrError(f"{path}: no such file; name a Parquet file of impressions.")
    try:
        file = open_parquet(path)
    except (pa.ArrowException, OSError) as error:
        raise PrectrError(f"{path} is not a Parquet file, or a damaged one: write it again.") from error
    _columns(path, file.schema_arrow.names, NEEDED, names)
    return file


def _columns(path: Path, found: Sequence[str], needed: Sequence[str], names: OwnNames) -> dict[str, str]:
    """What the file calls each column that is read: those that are needed, and others that it has."""
    called = names.in_table(found, dict.fromkeys([*needed, *OPTIONAL]), str(path))
    called |= {name: name for name in found if name in KEPT or name.startswith("label_")}
    missing = [name for name in needed if name not in called]
    if missing:
        shown = ", ".join(str(name)[:40] for name in found[:30])
        raise PrectrError(f"{path}: column {names.told(missing[0])} is missing; found {shown}: add it.")
    return called


def page_blocks(
    path: Path, context: Sequence[str], rows_at_once: int, names: OwnNames = CONTRACT
) -> Iterator[tuple[np.ndarray, pa.Table]]:
    """Whole pages of an impressions file in the order in which they end, some `rows_at_once` rows at a time.

    Args:
        context: names of the `ctx_*` columns that are read. names: the shop's own, which the file may use, too.

    Yields:
        Row numbers in the file int64 [m], and those rows with the contract's columns and types; `clicked` is false
        where the file has none. Page ids are numbered anew where the file's repeat from split to split.
    """
    file = open_impressions(path, names)
    called = _columns(path, file.schema_arrow.names, [*NEEDED, *context], names)
    page = _page_numbers(path, [called[name] for name in ("split", "page_id") if name in called])
    last_row = np.zeros(int(page.max(initial=-1)) + 1, np.int64)
    last_row[page] = np.arange(len(page))
    waiting_rows = np.zeros(0, np.int64)
    waiting: list[pa.Table] = []
    end = 0
    for batch in file.iter_batches(rows_at_once, columns=list(called.values())):
        rows = np.concatenate([waiting_rows, np.arange(end, end + len(batch))])
        given = pa.table({name: batch[own] for name, own in called.items()})
        read = _conform(path, given, end, names).append_column("page", pa.array(page[rows[-len(batch) :]]))
        table = pa.concat_tables([*waiting, read])
        end += len(batch)
        whole = last_row[page[rows]] < end
        if whole.any():
            block = table.filter(pa.array(whole))
            _one_value_per_page(path, rows[whole], block)
            block = block.set_column(block.column_names.index("page_id"), "page_id", block["page"])
            yield rows[whole], block.drop_columns(["page"])
        waiting_rows, waiting = rows[~whole], [table.filter(pa.array(~whole))]


def _page_numbers(path: Path, keys: Sequence[str]) -> np.ndarray:
    """Which page each row belongs to, int64 [rows]; pages are told apart by the columns `keys`: (split, page_id)."""
    table = pq.read_table(path, columns=list(keys))
    number = np.zeros(len(table), np.int64)
    for name in keys:
        codes = pc.fill_null(table[name].combine_chunks().dictionary_encode().indices, -1).to_numpy().astype(np.int64)
        number = np.unique(number * (int(codes.max(initial=0)) + 2) + codes, return_inverse=True)[1]
    return number


def _conform(path: Path, batch: pa.Table, first_row: int, names: OwnNames) -> pa.Table:
    """The contract's types; a value in every row. Page ids, which are numbered anew, may be of any type."""
    schema = SCHEMAS["impressions"]
    for place, name in enumerate(batch.column_names):
        column = batch[name]
        if column.null_count and name in schema.names and name not in OPTIONAL:
            row = first_row + int(column.is_null().to_numpy().argmax())
            raise PrectrError(f"{path}: {name}, row {row}: a value is required: fill it in, or drop the page.")
        if name == "page_id":
            continue
        kind = _type_of(name)
        try:
            # A time may lose its milliseconds; nothing else may change.
            batch = batch.set_column(place, name, column.cast(kind, safe=not pa.types.is_timestamp(kind)))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise PrectrError(f"{path}: column {names.told(name)} is {column.type}: write it as {kind}.") from error
        if pa.types.is_timestamp(kind):
            _require_times(path, name, batch[name], first_row)
    for name in OPTIONAL:
        if name not in batch.column_names:
            batch = batch.append_column(name, pa.nulls(len(batch), pa.string()))
    if "clicked" not in batch.column_names:
        batch = batch.append_column("clicked", pa.array(np.zeros(len(batch), bool)))
    return batch


def _require_times(path: Path, name: str, times: pa.ChunkedArray, first_row: int) -> None:
    """Refuses what no converter would take for a time: milliseconds written as seconds lie beyond every history."""
    seconds = times.cast(pa.int64()).to_numpy()
    outside = (seconds < FIRST) | (seconds >= LAST)
    if outside.any():
        at = int(outside.argmax())
        try:
            seconds_of(int(seconds[at]))
        except PrectrError as error:
            raise PrectrError(f"{path}: {name}, row {first_row + at}: {error}") from None


def _type_of(column: str) -> pa.DataType:
    schema, optional = SCHEMAS["impressions"], OPTIONAL_COLUMNS["impressions"]
    if column in schema.names:
        return schema.field(column).type
    by_prefix = (kind for prefix, kind in PREFIXES["impressions"].items() if column.startswith(prefix))
    return optional.get(column) or next(by_prefix)


def _one_value_per_page(path: Path, rows: np.ndarray, block: pa.Table) -> None:
    _, first, page = np.unique(block["page"].to_numpy(), return_index=True, return_inverse=True)
    for name in PER_PAGE:
        codes = pc.fill_null(block[name].combine_chunks().dictionary_encode().indices, -1).to_numpy()
        differs = codes != codes[first][page]
        if differs.any():
            at = int(differs.argmax())
            raise PrectrError(
                f"{path}: {name}, row {rows[at]}: found {block[name][at].as_py()!r}, but page "
                f"{block['page_id'][at].as_py()!r} has another {name} too: give each page one user, query and time."
            )
