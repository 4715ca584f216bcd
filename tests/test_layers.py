"""Who may import whom: the stages know each other only through folders on disk, and rooms only those below them."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("data", "distill", "rank", "shared")
CONTRACT = ("data.contract", "data.scan", "data.checks.validate")
MAY_IMPORT = {
    "shared": ("shared",),
    "data": ("data", "shared"),
    "distill": ("distill", "shared", *CONTRACT),
    "rank": ("rank", "shared", *CONTRACT),
}
ORDER = {
    "rank": (
        *(
            "config",
            "history",
            "features",
            "workspace",
            "inputs",
            "model",
            "training",
            "evaluation",
            "serving",
            "service",
        ),
        *("reports", "finished", "pipeline"),
    ),
    "distill": (
        *("config", "pairs", "order", "unrelated", "sheet", "losses", "training", "models", "teachers", "labelling"),
        *("choosing", "student", "workspace", "evaluation", "publishing", "finished", "pipeline", "commands"),
    ),
}
"""The rooms of a stage; each may import those before it. `__main__` comes last."""

MOST_LINES, MOST_FILES = 400, 20


def imported_modules(source: str) -> Iterator[str]:
    """Modules of this project that a source text imports, at any depth, as far as their names say; without `prectr.`"""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # `from prectr.data import contract` and `from prectr.data.contract import levels` mean the same module.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.removeprefix("prectr.") for name in names if name.startswith("prectr."))


def sources(package: str) -> dict[str, str]:
    """Each module of a package, `rank.model.fusion`, and its text."""
    files = sorted((ROOT / package).rglob("*.py"))
    modules = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return {
        name.removesuffix(".__init__"): file.read_text(encoding="utf-8")
        for name, file in zip(modules, files, strict=True)
    }


EVERY = {name: text for package in PACKAGES for name, text in sources(package).items()}


def imports_of(module: str) -> set[str]:
    """The modules of this project that a module imports; a name imported from one counts as that module."""
    found = set()
    for name in imported_modules(EVERY[module]):
        known = name if name in EVERY else name.rpartition(".")[0]
        found |= {known} - {module}
    return found


def is_allowed(module: str, allowed: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_its_layer(package: str) -> None:
    names = {name: set(imported_modules(EVERY[name])) for name in EVERY if name.split(".")[0] == package}
    assert any(names.values())
    forbidden = [
        f"{module} imports {name}"
        for module, imported in names.items()
        for name in imported
        if not is_allowed(name, MAY_IMPORT[package])
    ]
    assert forbidden == []


@pytest.mark.parametrize("package", ORDER)
def test_rooms_import_downwards(package: str) -> None:
    place = {room: number for number, room in enumerate((*ORDER[package], "__main__"))}
    inside = [name for name in EVERY if name.startswith(f"{package}.")]
    assert {name.split(".")[1] for name in inside} == set(place)
    upwards = [
        f"{module} imports {name}"
        for module in inside
        for name in imports_of(module)
        if name.startswith(f"{package}.") and place[name.split(".")[1]] > place[module.split(".")[1]]
    ]
    assert upwards == []


def test_the_service_sees_only_what_serves() -> None:
    allowed = ("rank.service", "rank.serving", "rank.config", "data.contract", "shared")
    inside = [name for name in EVERY if name.startswith("rank.service.")]
    forbidden = [
        f"{module} imports {name}" for module in inside for name in imports_of(module) if not is_allowed(name, allowed)
    ]
    assert inside and forbidden == []


def test_only_the_engine_knows_ray() -> None:
    rooms = tuple(f"prectr.shared.engine.{name}" for name in ("ray", "ray_train", "ray_worker"))
    knows = []
    for name, text in EVERY.items():
        for node in ast.walk(ast.parse(text)):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            named += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(each.partition(".")[0] == "ray" or each in rooms for each in named):
                knows.append(name)
    # The engine itself, and what chooses it.
    inside = [room.removeprefix("prectr.") for room in rooms]
    assert sorted(set(knows)) == ["shared.engine.choice", *inside]


def test_nothing_imports_in_a_circle() -> None:
    try:
        TopologicalSorter({module: imports_of(module) for module in EVERY}).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_files_and_folders_stay_small() -> None:
    files = [file for package in (*PACKAGES, "benchmarks", "tests") for file in (ROOT / package).rglob("*.py")]
    long = [str(file) for file in files if len(file.read_text(encoding="utf-8").splitlines()) > MOST_LINES]
    folders = {file.parent for file in files}
    full = [str(folder) for folder in folders if len(list(folder.glob("*.py"))) > MOST_FILES]
    assert (long, full) == ([], [])


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_says_what_is_in_it(package: str) -> None:
    for folder in {file.parent for file in (ROOT / package).rglob("*.py")}:
        text = (folder / "__init__.py").read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), folder


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("import prectr.data.contract, numpy", ["data.contract"]),
        ("from prectr.data import contract, toy", ["data.contract", "data.toy"]),
        ("from prectr.data.contract import levels", ["data.contract.levels"]),
        ("def f():\n    import prectr.rank", ["rank"]),
        ("import datasets, ranking", []),
    ],
)
def test_imports_are_found_wherever_they_stand(source: str, modules: list[str]) -> None:
    assert list(imported_modules(source)) == modules


@pytest.mark.parametrize("package", (*PACKAGES, "benchmarks", "tests"))
def test_modules_go_by_their_installed_name(package: str) -> None:
    # `rank.model` beside `prectr.rank.model` would be a second module, with classes of its own.
    for file in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            names = [module] if module else [a.name for a in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if name and name.split(".")[0] in PACKAGES], file
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{file}: a relative import"


def test_the_contract_is_allowed_and_the_rest_of_data_is_not() -> None:
    assert is_allowed("data.contract.levels", MAY_IMPORT["rank"])
    assert not is_allowed("data.contracts", MAY_IMPORT["rank"])
    assert not is_allowed("data", MAY_IMPORT["rank"])
    assert not is_allowed("distill.losses", MAY_IMPORT["rank"])
