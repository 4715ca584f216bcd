"""Who may import whom: the stages know each other only through folders on disk."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("data", "distill", "rank", "shared", "benchmarks", "tests")
CONTRACT = ("data.contract", "data.scan", "data.validate")
MAY_IMPORT = {
    "shared": {"shared"},
    "data": {"data", "shared"},
    "distill": {"distill", "shared", *CONTRACT},
    "rank": {"rank", "shared", *CONTRACT},
}


def imported_modules(source: str, package: str) -> Iterator[str]:
    """Modules of this project that a source text imports, at any depth, as far as their names say."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = [package]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from data import contract` and `from data.contract import levels` mean the same module.
            in_package = node.module in PACKAGES
            names = [f"{node.module}.{alias.name}" for alias in node.names] if in_package else [node.module]
        yield from (name for name in names if name.split(".")[0] in PACKAGES)


def is_allowed(module: str, package: str) -> bool:
    return any(module == allowed or module.startswith(f"{allowed}.") for allowed in MAY_IMPORT[package])


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_its_layer(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    forbidden = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files
        for module in imported_modules(file.read_text(encoding="utf-8"), package)
        if not is_allowed(module, package)
    ]
    assert forbidden == []


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("import data.contract, numpy", ["data.contract"]),
        ("from data import contract, toy", ["data.contract", "data.toy"]),
        ("from data.contract import levels", ["data.contract"]),
        ("def f():\n    import rank", ["rank"]),
        ("from . import losses", ["distill"]),
        ("import datasets, ranking", []),
    ],
)
def test_imports_are_found_wherever_they_stand(source: str, modules: list[str]) -> None:
    assert list(imported_modules(source, "distill")) == modules


def test_the_contract_is_allowed_and_the_rest_of_data_is_not() -> None:
    assert is_allowed("data.contract", "rank")
    assert not is_allowed("data.contracts", "rank")
    assert not is_allowed("data", "rank")
    assert not is_allowed("distill.losses", "rank")
