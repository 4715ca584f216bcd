"""Settings: dataclasses filled from a profile's YAML file, then from the command line.

A stage declares its settings as dataclasses and ships `configs/{smoke,default,full}.yaml`. A profile's values replace
the dataclass defaults, and flags replace the profile's. A key or flag that no dataclass declares is an error.
"""

import difflib
from argparse import ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import Any, NoReturn, cast, get_args, get_type_hints

import yaml
from transformers import HfArgumentParser

from prectr.shared.errors import PrectrError


class _Help(RawDescriptionHelpFormatter, ArgumentDefaultsHelpFormatter):
    """Shows defaults, and a description as it was written."""


class _Parser(HfArgumentParser):
    """Reports a bad value, and where it stands, as an exception instead of printing the whole usage."""

    source = "command line"

    def error(self, message: str) -> NoReturn:
        raise PrectrError(f"{self.source}: {message}.")


def parse_arguments(
    classes: Sequence[type[Any]],
    config_dir: Path | None,
    argv: Sequence[str],
    *,
    program: str | None = None,
    description: str | None = None,
) -> tuple[Any, ...]:
    """Fill one instance of each dataclass in `classes` from a profile and the command line.

    Args:
        classes: dataclasses whose field names are distinct across all of them.
        config_dir: folder of the profiles; `--profile NAME` (default "default") reads `<config_dir>/<NAME>.yaml`,
            `--config FILE` reads any other file instead. None: there are no profiles, and a file is `--mapping FILE`.
        argv: the flags, without the program's name; they override the file: `--learning_rate 1e-4`.
        program: the command as the help text shows it. description: what else it shows, its lines kept.

    Returns:
        The instances, in the order of `classes`.

    Raises:
        SystemExit: unknown profile, key or flag, or a value of the wrong type; the message is one sentence.

    Example:
        >>> (train,) = parse_arguments([TrainArguments], Path("rank/configs"), ["--profile", "smoke", "--seed", "7"])
    """
    parser = _Parser(
        cast(Any, classes), prog=program, description=description, formatter_class=_Help, allow_abbrev=False
    )
    _add_selectors(parser, config_dir)
    names = [field.name for cls in classes for field in fields(cls) if field.init]
    try:
        path = _config_path(config_dir, argv)
        settings = read_config(path) if path else {}
        _reject_unknown(settings, names, f"{path}: unknown key")
        _apply(parser, settings, path or Path(), _nullable(classes))
        *instances, _selection, unknown = parser.parse_args_into_dataclasses(
            list(argv), return_remaining_strings=True, look_for_args_file=False
        )
        flags = [word.split("=")[0].removeprefix("--").replace("-", "_") for word in unknown if word.startswith("--")]
        _reject_unknown(flags, [*names, "profile", "config", "mapping"], "command line: unknown flag", prefix="--")
        if unknown:
            raise PrectrError(f"command line: {unknown[0]!r} belongs to no flag; write --name value.")
    except PrectrError as error:
        raise SystemExit(str(error)) from None
    return tuple(instances)


def read_config(path: Path) -> dict[str, Any]:
    """Read a flat YAML mapping of settings; raises `PrectrError` if it is missing, malformed or nested."""
    if not path.is_file():
        raise PrectrError(f"{path}: no such settings file; {path.parent} holds {_profiles(path.parent)}.")
    try:
        settings = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        raise PrectrError(f"{path}: not valid YAML: {' '.join(str(error).split())}.") from error
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise PrectrError(f"{path}: found a {type(settings).__name__}; settings are lines of `key: value`.")
    for key, value in settings.items():
        if isinstance(value, dict):
            raise PrectrError(f"{path}: key {key!r} holds a nested mapping; settings are flat `key: value` lines.")
    return {str(key): value for key, value in settings.items()}


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML keeps the last of two equal keys silently; here the second one is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(problem=f"key {key!r} appears twice")
        return super().construct_mapping(node, deep)


def _add_selectors(parser: _Parser, config_dir: Path | None) -> None:
    if config_dir is None:
        parser.add_argument("--mapping", type=Path, default=None, help="a YAML file of these flags")
    else:
        parser.add_argument("--profile", default="default", help=f"settings to start from: {_profiles(config_dir)}")
        parser.add_argument("--config", type=Path, default=None, help="a YAML file of settings, instead of a profile")


def _config_path(config_dir: Path | None, argv: Sequence[str]) -> Path | None:
    selector = _Parser(add_help=False, allow_abbrev=False)
    _add_selectors(selector, config_dir)
    selected, _ = selector.parse_known_args(list(argv))
    given: Path | None = selected.mapping if config_dir is None else selected.config
    if config_dir is None:
        return given
    return given or config_dir / f"{selected.profile}.yaml"


def _profiles(config_dir: Path) -> str:
    return ", ".join(sorted(path.stem for path in config_dir.glob("*.yaml"))) or "no profile"


def _reject_unknown(found: Iterable[str], valid: Sequence[str], where: str, prefix: str = "") -> None:
    for name in found:
        if name not in valid:
            closest = difflib.get_close_matches(name, valid, n=1, cutoff=0.0)
            hint = f"; did you mean {prefix + closest[0]!r}?" if closest else "."
            raise PrectrError(f"{where} {prefix + name!r}{hint}")


def _nullable(classes: Sequence[type[Any]]) -> set[str]:
    return {name for cls in classes for name, hint in get_type_hints(cls).items() if NoneType in get_args(hint)}


def _apply(parser: _Parser, settings: Mapping[str, Any], path: Path, nullable: set[str]) -> None:
    """Make the file's values the parser's defaults, read as flags are: YAML itself takes `2e-5` for a string."""
    required = [action for action in parser._actions if action.required]
    for action in required:
        action.required = False
    for key, value in settings.items():
        parser.source = f"{path}: key {key!r}"
        if value is None and key not in nullable:
            parser.error("no value given")
        parser.set_defaults(**{key: None if value is None else _parse_value(parser, key, value)})
    parser.source = _Parser.source
    for action in required:
        action.required = action.dest not in settings


def _parse_value(parser: _Parser, key: str, value: Any) -> Any:
    takes_list = any(action.dest == key and action.nargs == "+" for action in parser._actions)
    if isinstance(value, list) != takes_list:
        parser.error(f"found {value!r}, expected {'a list' if takes_list else 'a single value'}")
    if value == []:
        return []
    flags = [f"--{key}", *map(str, value)] if takes_list else [f"--{key}={value}"]
    return getattr(parser.parse_args(flags), key)
