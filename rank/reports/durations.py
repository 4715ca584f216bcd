"""About how long the steps take where they never ran: measured, and in proportion to the log."""

import re
from pathlib import Path

import pyarrow.parquet as pq

from prectr.data.contract import has_table, table_path

IMPRESSIONS = 402_229
"""Rows of `impressions.parquet` behind the seconds of the default profile."""

SECONDS = {
    "default": {
        "level_prob": 48, "replay": 6, "behaviours": 8, "texts": 1, "text_vectors": 7, "features": 31, "lightgbm": 81,
        "engagement": 72, "pair_features": 17, "judged_pair_features": 17, "trained": 268, "ranker": 55,
    },
    "smoke": {
        "level_prob": 1, "replay": 1, "behaviours": 1, "texts": 1, "text_vectors": 1, "features": 1, "lightgbm": 2,
        "engagement": 1, "pair_features": 1, "judged_pair_features": 1, "trained": 8, "ranker": 3,
    },
}  # fmt: skip
"""Seconds by profile and folder, on 2 cores with bfloat16; of a profile that is not here, those of the default one."""


def usual_seconds(command: str, data: Path) -> dict[str, float]:
    """Seconds that the steps take, by the name of their folder.

    Args:
        command: as it was typed, for its profile. data: the folder of the tables, for how many there is to do.
    """
    found = re.search(r"--profile[ =](\w+)", command)
    profile = found[1] if found and found[1] in SECONDS else "default"
    if profile != "default":
        return {name: float(seconds) for name, seconds in SECONDS[profile].items()}
    rows = pq.read_metadata(table_path(data, "impressions")).num_rows if has_table(data, "impressions") else IMPRESSIONS
    return {name: seconds * rows / IMPRESSIONS for name, seconds in SECONDS[profile].items()}
