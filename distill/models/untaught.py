"""Judges that have to learn what the levels are, where there is no gold to learn from. [O]

Most who bring a log have no ratings, and the default teacher has such a member. Its name is enough to refuse it, before
the libraries are loaded that take a minute on a slow machine; `models.sources.check_head` looks at all others.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc

from prectr.data.contract import levels, read_table, table_path
from prectr.shared.default_models import CAUSAL, ENCODER
from prectr.shared.errors import PrectrError


def refuse_untaught(teacher: str, folder: Path) -> None:
    """Stops a teacher that is known by name to need gold, and does nothing where the tables are not there.

    Args:
        teacher: as `--teacher` says it. folder: of the tables.

    Raises:
        PrectrError: no pair of split 'train' has a level.
    """
    names = [name.strip() for name in teacher.split(",")]
    learner = next((name for name in names if name == ENCODER or name.startswith("similarity:")), None)
    if learner is None or not table_path(folder, "pairs").is_file():
        return
    pairs = read_table(folder, "pairs", ["split", "level"])
    if not pc.any(pc.and_(pc.equal(pairs["split"], "train"), pairs["level"].is_valid())).as_py():
        raise PrectrError(no_gold(learner, len(levels(folder))))


def no_gold(teacher: str, num_levels: int) -> str:
    """What is wrong with a teacher that has nothing to learn from, and which others need nothing."""
    return (
        f"teacher {teacher}: it has to learn what the {num_levels} levels are, and no pair of split 'train' has a "
        "level; label some pairs, or name a teacher that judges as it comes: a causal language model, such as the "
        f"default's (--teacher {CAUSAL}; make: TEACHER={CAUSAL}), an endpoint, or a cross-encoder with {num_levels} "
        "outputs."
    )
