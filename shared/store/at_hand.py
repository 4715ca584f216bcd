"""What a command names by URI, as folders of this machine while it works. [O]"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prectr.shared.run import launch
from prectr.shared.store.names import home_of, is_uri


@contextmanager
def at_hand(settings: Iterable[Any], without: Collection[str] = ()) -> Iterator[None]:
    """Within, `artifacts` of the settings is a folder here even where a URI was given, level with what is kept there;
    what was made beside the folders of steps goes there in the end, even if the command fails.

    Args:
        settings: a command's dataclasses, of which one may have `artifacts` and the `name` of a data set.
        without: folders of steps of which the command reads the record at most.

    Raises:
        PrectrError: no such bucket, no right to read or write there, nobody answers, or an unknown scheme.
    """
    kept = [each for each in settings if is_uri(getattr(each, "artifacts", ""))]
    if not kept:
        yield
        return
    from prectr.shared.store.kept import put_beside

    for each in kept:
        each.artifacts = str(artifacts_of(each.artifacts, each.name, without))
    try:
        yield
    finally:
        if launch.is_first():
            for each in kept:
                put_beside(Path(each.artifacts), each.name)


def artifacts_of(given: str, name: str, without: Collection[str] = ()) -> Path:
    """The folder of artifacts that is meant; of a URI its copy here, which then holds what is finished there.

    Args:
        name, without: as for `at_hand`.
    """
    if not is_uri(given):
        return Path(given)
    from prectr.shared.store.kept import copy_of, fetch

    home = copy_of(given)
    fetch(home, name, without)
    return home


def here(source: str | Path) -> Path:
    """The file or folder that is meant: a path is one already, of a URI it is the copy.

    Raises:
        PrectrError: nothing is there, or the store refuses or does not answer.
    """
    if not is_uri(source):
        return Path(source)
    from prectr.shared.store.fetched import fetched

    return fetched(str(source))


def keep(folder: Path) -> None:
    """Put a finished step's folder where its artifacts are kept; nothing where that is here.

    Raises:
        PrectrError: the store refuses or does not answer.
    """
    home = home_of(folder)
    # Unpacked models every machine unpacks for itself.
    if home is not None and folder.parent != home and folder.relative_to(home).parts[0] != "teachers":
        from prectr.shared.store.kept import put_up

        put_up(home, folder)
