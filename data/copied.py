"""Tables that lie elsewhere, such as in an object store, as a data set here: the step that copies them. [O]"""

from __future__ import annotations

import shutil
from pathlib import Path

from prectr.data.checks.validate import validate
from prectr.data.config import CopyArguments
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import print_line
from prectr.shared.run.contents import contents_of
from prectr.shared.run.hold import hold
from prectr.shared.run.steps import RECORD, run_step
from prectr.shared.store.at_hand import here


def copy_tables(source: str, naming: CopyArguments) -> None:
    """Write <artifacts>/<name>/data, unless it holds these very files already.

    Args:
        source: a folder that keeps the contract, or its URI.

    Raises:
        PrectrError: there is no such folder, it holds no tables or wrong ones, or the store refuses.
    """
    tables, folder = here(source), Path(naming.artifacts) / naming.name / "data"
    files = sorted(tables.iterdir()) if tables.is_dir() else []
    files = [each for each in files if each.is_file() and each.name != RECORD and not each.name.startswith(".")]
    if not any(each.suffix == ".parquet" for each in files):
        raise PrectrError(f"{source}: it is no folder of tables: name one with items.parquet and pairs.parquet.")
    inputs = {"files": {each.name: contents_of(each) for each in files}}

    def copy(work: Path) -> None:
        for each in files:
            shutil.copyfile(each, work / each.name)
        validate(work)

    with hold(folder.parent):
        run_step("data", folder, inputs, copy, sources=[__name__])
    print_line(f"Data: {folder}")
