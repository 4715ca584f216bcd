"""Settings: dataclasses filled from a profile's YAML file, then from the command line, by jsonargparse.

A stage declares its settings as dataclasses and ships `configs/{smoke,default,full}.yaml`. A profile's values replace
the dataclass defaults, and flags replace the profile's. A key or flag that no dataclass declares is an error.

Metadata of a field: `help`, what `--help` says of it; `choices`, texts it may be; `positional`, true for an argument
that has no flag's name; `group`, the heading in `--help` that it stands under, where it is not the dataclass's; `was`,
what the setting was called before: (old name, version that renamed it).
"""

from __future__ import annotations

import difflib
import inspect
import re
from argparse import SUPPRESS, ArgumentError, Namespace
from argparse import ArgumentParser as PlainParser
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from jsonargparse import ActionYesNo, ArgumentParser

from prectr.shared.errors import PrectrError
from prectr.shared.help import Help, value_of
from prectr.shared.text_file import read_text

COMMAND_LINE = "command line"
KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", Path: "a path"}


@dataclass(frozen=True)
class _Setting:
    """A field of one of the dataclasses, with its type hint resolved."""

    field: Field[Any]
    hint: Any

    @property
    def name(self) -> str:
        return self.field.name

    @property
    def default(self) -> Any:
        """What it is where nobody says; suppressed where somebody has to."""
        if self.field.default_factory is not MISSING:
            return self.field.default_factory()
        return SUPPRESS if self.is_required else self.field.default

    @property
    def is_required(self) -> bool:
        return self.field.default is MISSING and self.field.default_factory is MISSING

    @property
    def is_list(self) -> bool:
        return get_origin(self.hint) is list

    @property
    def is_positional(self) -> bool:
        return bool(self.field.metadata.get("positional"))

    @property
    def takes_null(self) -> bool:
        return NoneType in get_args(self.hint)

    @property
    def flags(self) -> list[str]:
        """Without the dashes."""
        return [] if self.is_positional else [self.name, *([f"no_{self.name}"] if self.hint is bool else [])]

    @property
    def shown(self) -> str:
        """As the usage line shows it."""
        return self.name.upper() if self.is_positional else f"--{self.name} {self.name.upper()}"

    def add_to(self, group: Any) -> None:
        """Declare it to the parser."""
        told = self.field.metadata.get("help", "")
        if self.is_positional:
            group.add_argument(self.name, type=self.hint, nargs="?", default=SUPPRESS, help=told)
            return
        kind: dict[str, Any] = {"type": self.hint}
        if self.hint is bool:
            kind = {"action": ActionYesNo, "nargs": "?"}
        elif self.is_list:
            kind = {"type": get_args(self.hint)[0], "nargs": "+"}
        shown, more = value_of(get_args(self.hint)[0] if self.is_list else self.hint)
        action = group.add_argument(f"--{self.name}", default=self.default, help=told + more, **kind)
        action.metavar = shown

    @property
    def expected(self) -> str:
        """What kind of value it takes, in words."""
        kinds = [*get_args(self.hint)] if get_origin(self.hint) in (UnionType, Union) else [self.hint]
        return " or ".join(_kind(each) for each in kinds)


def parse_arguments(
    classes: Sequence[type[Any]],
    config_dir: Path | None,
    argv: Sequence[str],
    *,
    program: str | None = None,
    description: str | None = None,
    others: Sequence[type[Any]] = (),
    mapping: bool = False,
) -> tuple[Any, ...]:
    """Fill one instance of each dataclass in `classes` from a profile and the command line.

    Args:
        classes: dataclasses whose field names are distinct across all of them.
        config_dir: folder of the profiles; `--profile NAME` (default "default") reads `<config_dir>/<NAME>.yaml`,
            `--config FILE` reads any other file instead. None: there are no profiles.
        argv: the flags, without the program's name; they override the file: `--learning_rate 1e-4`. Names may be
            written with hyphens.
        program: the command as the help text shows it. description: what else it shows, its lines kept.
        others: dataclasses of the stage's other verbs; a file may hold their settings too, which are passed over.
        mapping: without profiles, `--mapping FILE` reads a file.

    Returns:
        The instances, in the order of `classes`.

    Raises:
        PrectrError: unknown profile, key or flag, or a value of the wrong type; the message is one sentence.
        SystemExit: `--help` or `--print_config` was given, and has been answered.

    Example:
        >>> (train,) = parse_arguments([TrainArguments], Path("rank/configs"), ["--profile", "smoke", "--seed", "7"])
    """
    settings = _settings(classes)
    words = [_underscored(word) for word in argv]
    selectors = _selectors(config_dir, mapping)
    _reject_unknown_flags(words, settings, _settings(others), [name.removeprefix("--") for name in selectors])
    parser = _parser(classes, settings, selectors, program, description)
    selected, words = _select(selectors, words)
    path = _config_path(config_dir, selected)
    in_file = _read_values(parser, path, settings, _settings(others)) if path else {}
    parser.set_defaults(**in_file)
    needed = [each for each in settings.values() if each.is_required and each.name not in in_file]
    parser.usage = " ".join([parser.prog, *(each.shown for each in needed), "[--SETTING VALUE]…"])
    values = _parse_words(parser, words, settings)
    if missing := [each for each in needed if each.name not in values]:
        told = "; ".join(f"{each.shown}, {each.field.metadata.get('help', 'which has no default')}" for each in missing)
        raise PrectrError(f"{COMMAND_LINE}: missing: {told}.")
    if getattr(selected, "print_config", False):
        chosen = {name: values[name] for name in settings}
        print(yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True, default_flow_style=None), end="")
        raise SystemExit(0)
    return tuple(cls(**{field.name: values[field.name] for field in fields(cls) if field.init}) for cls in classes)


def read_config(path: Path) -> dict[str, Any]:
    """Read a flat YAML mapping of settings; raises `PrectrError` if it is missing, no file, malformed or nested."""
    text = read_text(path, f"no such settings file; {path.parent} holds {_profiles(path.parent)}.")
    try:
        settings = yaml.load(text, Loader=_UniqueKeyLoader)
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


def _settings(classes: Iterable[type[Any]]) -> dict[str, _Setting]:
    found: dict[str, _Setting] = {}
    for cls in classes:
        hints = get_type_hints(cls)
        found |= {field.name: _Setting(field, _chosen(field, hints[field.name])) for field in fields(cls) if field.init}
    return found


def _chosen(field: Field[Any], hint: Any) -> Any:
    """The hint of a text, or of a list of texts, that has to be one of the `choices` in the field's metadata."""
    if not (choices := field.metadata.get("choices")):
        return hint
    literal = Literal.__getitem__(tuple(choices))
    return list.__class_getitem__(literal) if get_origin(hint) is list else literal


def _kind(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, get_args(hint)))}"
    if get_origin(hint) is list:
        return f"a list, each of it {_kind(get_args(hint)[0])}"
    return "null" if hint is NoneType else KINDS[hint]


def _underscored(word: str) -> str:
    """`--learning-rate=1e-4` as `--learning_rate=1e-4`."""
    if not word.startswith("--"):
        return word
    name, equals, value = word[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def _selectors(config_dir: Path | None, mapping: bool) -> dict[str, dict[str, Any]]:
    """The flags beside the settings, as `add_argument` takes them."""
    file: dict[str, dict[str, Any]] = {}
    if config_dir is not None:
        file["--profile"] = {"default": "default", "help": f"settings to start from: {_profiles(config_dir)}"}
        file["--config"] = {"default": None, "help": "a YAML file of settings, instead of a profile"}
    elif mapping:
        file["--mapping"] = {"default": None, "help": "a YAML file of these flags"}
    if file:
        file["--print_config"] = {"action": "store_true", "help": "print the settings as such a file would hold them"}
    return file


def _parser(
    classes: Sequence[type[Any]],
    settings: Mapping[str, _Setting],
    selectors: Mapping[str, Mapping[str, Any]],
    program: str | None,
    description: str | None,
) -> ArgumentParser:
    parser = ArgumentParser(
        prog=program, description=description, formatter_class=Help, exit_on_error=False, allow_abbrev=False
    )
    for cls in classes:
        title = (inspect.getdoc(cls) or cls.__name__).splitlines()[0].rstrip(".")
        groups: dict[str, Any] = {}
        for field in fields(cls):
            if field.init:
                heading = field.metadata.get("group", title)
                groups.setdefault(heading, None)
                groups[heading] = groups[heading] or parser.add_argument_group(heading)
                settings[field.name].add_to(groups[heading])
    if selectors:
        group = parser.add_argument_group("Where settings come from")
        for name, how in selectors.items():
            group.add_argument(name, **how)
    return parser


def _select(selectors: Mapping[str, Mapping[str, Any]], words: Sequence[str]) -> tuple[Namespace, list[str]]:
    """What is said of the settings' file, which has to be read before the other flags are, and those."""
    selector = PlainParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name, how in selectors.items():
        selector.add_argument(name, **how)
    try:
        return selector.parse_known_args(list(words))
    except ArgumentError as error:
        raise PrectrError(f"{COMMAND_LINE}: {error.argument_name}: no value given.") from None


def _config_path(config_dir: Path | None, selected: Namespace) -> Path | None:
    file = selected.config if config_dir else getattr(selected, "mapping", None)
    if file is None and config_dir:
        return config_dir / f"{selected.profile}.yaml"
    return None if file is None else Path(file)


def _profiles(config_dir: Path) -> str:
    return ", ".join(sorted(path.stem for path in config_dir.glob("*.yaml"))) or "no profile"


def _reject_unknown_flags(
    words: Sequence[str], settings: Mapping[str, _Setting], others: Mapping[str, _Setting], selectors: Sequence[str]
) -> None:
    flags = [flag for each in settings.values() for flag in each.flags]
    known = {*flags, *selectors, "help"}
    for word in words:
        if not word.startswith("--") or (name := word[2:].partition("=")[0]) in known:
            continue
        _reject_renamed(name, {**others, **settings}, f"{COMMAND_LINE}: flag", "--")
        if name in others:
            raise PrectrError(
                f"{COMMAND_LINE}: --{name} is a setting of other commands, not of this one; leave it out."
            )
        _reject_unknown(name, [*flags, *selectors], f"{COMMAND_LINE}: unknown flag", "--")


def _reject_renamed(name: str, settings: Mapping[str, _Setting], where: str, prefix: str = "") -> None:
    for each in settings.values():
        was, version = each.field.metadata.get("was", (None, None))
        if name == was:
            raise PrectrError(f"{where} {prefix + name!r} is called {prefix + each.name!r} since {version}.")


def _reject_unknown(name: str, valid: Sequence[str], where: str, prefix: str = "") -> None:
    closest = difflib.get_close_matches(name, valid, n=1, cutoff=0.0)
    hint = f"; did you mean {prefix + closest[0]!r}?" if closest else "."
    raise PrectrError(f"{where} {prefix + name!r}{hint}")


def _read_values(
    parser: ArgumentParser, path: Path, settings: Mapping[str, _Setting], others: Mapping[str, _Setting]
) -> dict[str, Any]:
    """The file's values of `settings`, each of its type; those of `others` are passed over."""
    every = {**others, **settings}
    values = {}
    for key, value in read_config(path).items():
        _reject_renamed(key, every, f"{path}: key")
        if key not in every:
            _reject_unknown(key, list(every), f"{path}: unknown key")
        if key in settings:
            values[key] = _typed(parser, settings[key], value, f"{path}: key {key!r}")
    return values


def _typed(parser: ArgumentParser, setting: _Setting, value: Any, where: str) -> Any:
    if value is None and not setting.takes_null:
        raise PrectrError(f"{where}: no value given.")
    if isinstance(value, list) != setting.is_list and value is not None:
        raise PrectrError(f"{where}: found {value!r}, expected {'a list' if setting.is_list else 'a single value'}.")
    # A data set may be called 2024, which YAML takes for a number.
    given = [_written(each) for each in value] if setting.is_list else _written(value)
    try:
        return parser.parse_object({setting.name: given}, defaults=False)[setting.name]
    except ArgumentError:
        raise PrectrError(f"{where}: found {value!r}, expected {setting.expected}.") from None


def _written(value: Any) -> Any:
    """A number as it is written; jsonargparse reads it again, as the type that the setting has."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _parse_words(parser: ArgumentParser, words: Sequence[str], settings: Mapping[str, _Setting]) -> dict[str, Any]:
    try:
        return dict(parser.parse_args(list(words)).as_dict())
    except ArgumentError as error:
        sentence = " ".join(str(error).split())
    if sentence.startswith("unrecognized arguments: "):
        stray = sentence.removeprefix("unrecognized arguments: ").split()[0]
        raise PrectrError(f"{COMMAND_LINE}: {stray!r} belongs to no flag; write --name value.")
    named = re.match(r'(?:Parser key "|argument --)(\w+)', sentence)
    setting = settings.get(named[1]) if named else None
    if setting is None or setting.is_positional:
        raise PrectrError(f"{COMMAND_LINE}: {sentence.rstrip('.')}.")
    given = _values_of(setting, words)
    if not given:
        raise PrectrError(f"{COMMAND_LINE}: --{setting.name}: no value given.")
    raise PrectrError(f"{COMMAND_LINE}: --{setting.name}: found {given!r}, expected {setting.expected}.")


def _values_of(setting: _Setting, words: Sequence[str]) -> str:
    """What stands behind a setting's flag, the last one where there are several."""
    given: list[str] = []
    inside = False
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            inside = name in setting.flags
            if inside:
                given = [value] if equals else []
        elif inside:
            given.append(word)
    return " ".join(given)
