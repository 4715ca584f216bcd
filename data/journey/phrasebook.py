"""Reads the phrasebook: how people say what the retailer abbreviates. Its own first lines explain the format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prectr.shared.errors import PrectrError
from prectr.shared.text_file import read_text

TypeName = tuple[str, str]
"""A product type as the retailer has it: (category, type)."""

_NEED_KEYS = ("need", "types", "subs", "say")
_TEMPLATE_KEYS = {"size": "{size}", "store-brand": ""}
_WORDING = re.compile(r"[a-z0-9 '&%-]+")
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_FEWEST_WORDINGS = 2


@dataclass(frozen=True)
class Need:
    """What somebody wants: the types that satisfy it, the types they would take instead, and how they say it."""

    name: str
    types: tuple[TypeName, ...]
    subs: tuple[TypeName, ...]
    wordings: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class Phrasebook:
    """All needs, and the templates that add a facet to a wording: `{size} {say}`, `store brand {say}`."""

    path: Path
    needs: tuple[Need, ...]
    size_templates: tuple[str, ...]
    store_brand_templates: tuple[str, ...]


@dataclass
class _Block:
    """The lines of one block: key -> (line number, text)."""

    line: int
    values: dict[str, tuple[int, str]] = field(default_factory=dict)


def read_phrasebook(path: Path) -> Phrasebook:
    """Read and check a phrasebook.

    Raises:
        PrectrError: the first thing wrong, with its line number, what was found and what to do.
    """
    path = Path(path)
    needs: dict[str, Need] = {}
    said: dict[str, str] = {}
    templates: dict[str, tuple[str, ...]] = {}
    for block in _blocks(path):
        if not set(block.values) <= set(_TEMPLATE_KEYS):
            need = _need(path, block)
            if need.name in needs:
                _fail(
                    path,
                    need.line,
                    f"need {need.name!r} is already at line {needs[need.name].line}",
                    "rename or merge it",
                )
            for wording in need.wordings:
                if wording in said:
                    _fail(
                        path, block.values["say"][0], f"{wording!r} is also said for {said[wording]!r}", "keep it once"
                    )
                said[wording] = need.name
            needs[need.name] = need
            continue
        for key, (line, text) in block.values.items():
            templates[key] = _templates(path, line, key, text)
    for key in _TEMPLATE_KEYS:
        if key not in templates:
            _fail(
                path, 1, f"no line `{key}:` with templates", f"add one, such as `{key}: {_TEMPLATE_KEYS[key]} {{say}}`"
            )
    if not needs:
        _fail(path, 1, "no need", "write at least one block of need, types and say")
    return Phrasebook(path, tuple(needs.values()), templates["size"], templates["store-brand"])


def _blocks(path: Path) -> Iterator[_Block]:
    block: _Block | None = None
    text = read_text(path, "no such phrasebook: give the path of a file like data/phrasebook.txt.")
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith("#"):
            continue
        if not line:
            if block is not None:
                yield block
            block = None
            continue
        key, colon, text = line.partition(":")
        if not colon or key not in (*_NEED_KEYS, *_TEMPLATE_KEYS):
            _fail(
                path,
                number,
                f"{line[:60]!r}",
                f"begin the line with one of {', '.join((*_NEED_KEYS, *_TEMPLATE_KEYS))} and a colon",
            )
        block = block or _Block(number)
        if key in block.values:
            _fail(path, number, f"a second `{key}:` in this block", "separate blocks by an empty line")
        block.values[key] = (number, text.strip())
    if block is not None:
        yield block


def _need(path: Path, block: _Block) -> Need:
    for key in ("need", "types", "say"):
        if key not in block.values or not block.values[key][1]:
            _fail(path, block.line, f"a block without `{key}:`", "give every need its need, types and say lines")
    for key in block.values:
        if key not in _NEED_KEYS:
            _fail(path, block.values[key][0], f"`{key}:` inside a need", "put templates in a block of their own")
    line, name = block.values["need"]
    if not _SLUG.fullmatch(name):
        _fail(path, line, f"the name {name!r}", "use lower-case words joined by hyphens")
    types, subs = _types(path, block, "types"), _types(path, block, "subs")
    if both := set(types) & set(subs):
        _fail(
            path, block.values["subs"][0], f"{' > '.join(min(both))!r} among types and subs", "keep it in one of them"
        )
    line, text = block.values["say"]
    wordings = tuple(wording.strip() for wording in text.split("|"))
    for wording in wordings:
        if not _WORDING.fullmatch(wording):
            _fail(path, line, f"the wording {wording!r}", "use lower-case letters, digits, spaces and ' & % - only")
    if len(set(wordings)) < _FEWEST_WORDINGS:
        _fail(
            path,
            line,
            f"{len(set(wordings))} wording",
            f"write at least {_FEWEST_WORDINGS}, so that one can be held out",
        )
    if len(set(wordings)) < len(wordings):
        _fail(path, line, "the same wording twice", "keep it once")
    return Need(name, types, subs, wordings, block.line)


def _types(path: Path, block: _Block, key: str) -> tuple[TypeName, ...]:
    if key not in block.values:
        return ()
    line, text = block.values[key]
    names = []
    for part in text.split(" ; "):
        category, arrow, kind = part.strip().partition(" > ")
        if not arrow or not category or not kind:
            _fail(path, line, f"the type {part.strip()!r}", "write it as `CATEGORY > TYPE`, several joined by ` ; `")
        names.append((category, kind))
    return tuple(names)


def _templates(path: Path, line: int, key: str, text: str) -> tuple[str, ...]:
    templates = tuple(template.strip() for template in text.split("|"))
    for template in templates:
        rest = (
            template.replace("{say}", "", 1).replace(_TEMPLATE_KEYS[key], "", 1)
            if _TEMPLATE_KEYS[key]
            else template.replace("{say}", "", 1)
        )
        if "{say}" not in template or _TEMPLATE_KEYS[key] not in template or "{" in rest:
            wanted = " and ".join(filter(None, (_TEMPLATE_KEYS[key], "{say}")))
            _fail(path, line, f"the template {template!r}", f"use {wanted} once each, and nothing else in braces")
    return templates


def _fail(path: Path, line: int, found: str, remedy: str) -> None:
    raise PrectrError(f"{path}, line {line}: found {found}: {remedy}.")
