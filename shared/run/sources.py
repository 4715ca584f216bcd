"""Which of the project's own code decides what a step writes, so that a changed line reruns what it changes.

A step names the modules that do its work. They count with all they import of the project, however deep and wherever the
import stands, but what is imported for type checkers only. Of a module counts what it does: comments, docstrings and
formatting do not. Nothing is imported to find this out, so that it costs milliseconds, and no library is loaded.

Three kinds of modules count in part or not at all:
- what only organises, shows or refuses (`ORGANISES`): its results are the same whatever it says;
- what hands settings and tables to the steps (`HANDS_ON`), and the module in which the step itself is put together:
  only the definitions that the step uses count, since the others are those of other steps;
- `….config`: the fields of settings, whose values are inputs of the steps already.

Packages count only where something is imported from the package itself: an `__init__` here says what is in a room.
Libraries do not count: constraints.txt pins them, and whoever changes them knows it.
"""

import ast
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from sys import modules
from typing import Any

from prectr.shared.errors import PrectrError

ORGANISES = {
    "prectr.shared.run": "runs steps, several processes and the terminal",
    "prectr.shared.engine": "says where parts are worked on; what is done with one is the same there",
    "prectr.shared.store": "brings the same bytes here, and takes them elsewhere",
    "prectr.shared.errors": "words",
    "prectr.shared.atomic": "writes the same bytes, whole or not at all",
    "prectr.shared.hub": "finds, names and uploads models; which one was found is an input of the step",
    "prectr.shared.training.progress": "shows how far a training is",
    "prectr.shared.training.trackers": "sends curves elsewhere",
    "prectr.data.checks": "refuses tables, changes none",
    "prectr.data.report": "tells of tables",
    "prectr.distill.publishing.model_card": "tells of an encoder",
    "prectr.rank.reports": "shows results",
}
"""Modules, and packages with all that is in them, that decide no result, and why."""

HANDS_ON = ("prectr.distill.workspace", "prectr.rank.workspace")
"""Modules with the class that every step of a stage is given."""

DIGITS = 12
"""Of a module's hash: enough to tell its versions apart, and short enough to be read in `step.json`."""


@dataclass(frozen=True)
class _Definition:
    """A statement that gives names."""

    given: set[str]
    node: ast.stmt

    @cached_property
    def mentioned(self) -> set[str]:
        return _mentioned([self.node])


@dataclass(frozen=True)
class _Module:
    """What a module does, and the project's modules that it imports: as its file was when it had this stamp.

    What follows from the tree is worked out once, since every step asks for it of nearly every module.
    """

    stamp: tuple[int, int]
    tree: ast.Module
    imports: set[str]

    @cached_property
    def digest(self) -> str:
        return _digest(self.tree.body)

    @cached_property
    def mentioned(self) -> set[str]:
        return _mentioned(self.tree.body)

    @cached_property
    def definitions(self) -> list[_Definition]:
        return _definitions(self.tree.body)

    @cached_property
    def members(self) -> list[_Definition]:
        """The definitions with those of a class in the place of each."""
        return _definitions(_members(self.tree.body))


_parsed: dict[Path, _Module] = {}


def code_of(build: Callable[..., Any], sources: Sequence[str]) -> dict[str, str]:
    """Every module that decides what a step writes, and the hash of what it does.

    Args:
        build: the function that builds; the outermost definition around it counts with what it uses of its own module.
        sources: modules that do the work. None: the step's code does not count.

    Returns:
        {module: 12 hexadecimal digits}, sorted by name.

    Raises:
        PrectrError: there is no such module.

    Example:
        >>> code_of(build, ["prectr.rank.history.log"])
        {"prectr.data.contract": "1b0e…", …, "prectr.rank.history.log": "77c2…", "prectr.rank.pipeline": "c01f…"}
    """
    if not sources:
        return {}
    whole = closure(sources)
    code = {name: _parse(name).digest for name in whole - set(HANDS_ON)}
    used = {name: _parse(name).mentioned for name in whole - set(HANDS_ON)}
    own, outermost = _where(build)
    if own not in code and _file_of(own) is not None:
        nodes = _used(_parse(own).definitions, {outermost})
        code[own], used[own] = _digest(nodes), _mentioned(nodes)
    for workspace in HANDS_ON:
        asked = set[str]().union(*(names for name, names in used.items() if workspace in imports(name)))
        if members := _used(_parse(workspace).members, asked):
            code[workspace] = _digest(members)
    return dict(sorted(code.items()))


def closure(sources: Iterable[str]) -> set[str]:
    """The modules and all that they import of the project, without what `ORGANISES`; `HANDS_ON` is not followed.

    Raises:
        PrectrError: there is no such module.
    """
    found = set[str]()
    todo = list(sources)
    for name in todo:
        if _file_of(name) is None:
            raise PrectrError(f"sources of a step: there is no module {name}; name modules of this project.")
    while todo:
        name = todo.pop()
        if name in found or organises(name):
            continue
        found.add(name)
        if name not in HANDS_ON:
            todo += imports(name)
    return found


def organises(module: str) -> bool:
    """Whether `module` decides no result."""
    return any(module == name or module.startswith(f"{name}.") for name in ORGANISES)


def imports(module: str) -> set[str]:
    """The modules of its own package, and of prectr, that `module` imports anywhere but for type checkers."""
    return _parse(module).imports


def files_of(sources: Iterable[str]) -> list[Path]:
    """The files of the modules and of all that they import of the project, show or not, in the order of their names."""
    found, todo = set[str](), list(sources)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += imports(name)
    return [file for name in sorted(found) if (file := _file_of(name)) is not None]


def _own_imports(tree: ast.Module, own: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [(alias.name, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from prectr.data import contract` means the module, `from prectr.data.contract import levels` its part.
            names = [(f"{node.module}.{alias.name}", node.module) for alias in node.names]
        else:
            continue
        for name, otherwise in names:
            if name.partition(".")[0] in own:
                yield name if _file_of(name) is not None else otherwise


def _file_of(module: str) -> Path | None:
    """The file of a module, found without importing the packages on the way; None if there is none."""
    top, *rest = module.split(".")
    loaded = modules.get(top)
    spec = loaded.__spec__ if loaded is not None else find_spec(top)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder).joinpath(*rest)
        for file in (path.with_suffix(".py") if rest else path / "__init__.py", path / "__init__.py"):
            if file.is_file():
                return file
    return None


def _parse(module: str) -> _Module:
    """What a module does: without docstrings, and without what stands there for type checkers."""
    file = _file_of(module)
    if file is None:
        return _Module((0, 0), ast.Module([], []), set())
    found = file.stat()
    stamp = (found.st_mtime_ns, found.st_size)
    if file not in _parsed or _parsed[file].stamp != stamp:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        _WithoutWords(is_config=module.endswith(".config")).visit(tree)
        own = {module.partition(".")[0], "prectr"}
        _parsed[file] = _Module(stamp, tree, set(_own_imports(tree, own)) - {module})
    return _parsed[file]


class _WithoutWords(ast.NodeTransformer):
    """Takes out docstrings, blocks for type checkers and, of settings, the fields."""

    def __init__(self, is_config: bool) -> None:
        self.is_config = is_config

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node

    def visit_If(self, node: ast.If) -> Any:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return [self.visit(each) for each in node.orelse]
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        if self.is_config:
            node.body = [each for each in node.body if isinstance(each, ast.FunctionDef)]
        return self.generic_visit(node)


def _where(build: Callable[..., Any]) -> tuple[str, str]:
    """The module in which a step is put together, and the outermost definition there."""
    while isinstance(build, partial):
        build = build.func
    name = getattr(build, "__qualname__", type(build).__qualname__)
    module = build.__module__
    if module == "__main__" and (spec := modules["__main__"].__spec__):  # `python -m`
        module = spec.name
    return module, name.partition(".")[0]


def _definitions(body: Iterable[ast.stmt]) -> list[_Definition]:
    """The statements that give names, with the names."""
    found = list[_Definition]()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(_Definition({node.name}, node))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.append(_Definition(_mentioned(targets), node))
    return found


def _members(body: Iterable[ast.stmt]) -> list[ast.stmt]:
    """The statements of a module with those of its classes in the place of each."""
    return [each for node in body for each in (node.body if isinstance(node, ast.ClassDef) else [node])]


def _used(definitions: Sequence[_Definition], names: set[str]) -> list[ast.stmt]:
    """The definitions of `names`, and those that they use, however deep, in their order."""
    known = set(names)
    while True:
        chosen = [each for each in definitions if each.given & known]
        more = known.union(*(each.mentioned for each in chosen))
        if more == known:
            return [each.node for each in chosen]
        known = more


def _mentioned(nodes: Iterable[ast.AST]) -> set[str]:
    inside = [each for node in nodes for each in ast.walk(node)]
    names = {node.id for node in inside if isinstance(node, ast.Name)}
    return names | {node.attr for node in inside if isinstance(node, ast.Attribute)}


def _digest(nodes: Iterable[ast.stmt]) -> str:
    text = "\n".join(ast.dump(node, annotate_fields=False) for node in nodes)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
