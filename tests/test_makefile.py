"""The variables of `make`: the known ones are taken, a mistyped one is refused, the environment is left alone."""

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from prectr.shared.run.settings import parse_arguments

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
[KNOWN] = [line.split() for line in re.findall(r"^KNOWN +:= (.*)$", MAKEFILE, re.MULTILINE)]


def make(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "-n", "-f", str(ROOT / "Makefile"), *words]
    # `make test` hands its own level and flags on, and then names the folders it enters.
    outside = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(command, env=outside | environment, capture_output=True, text=True, check=False)


def test_every_variable_is_known() -> None:
    assert set(re.findall(r"^([A-Z_]+) +\?=", MAKEFILE, re.MULTILINE)) | {"PROMPT"} == set(KNOWN)


@pytest.mark.parametrize(("given", "meant"), [("PROFIL=smoke", "PROFILE"), ("SED=1", "SEED")])
def test_a_mistyped_variable_is_refused(given: str, meant: str) -> None:
    done = make("rank", given, f"PYTHON={sys.executable}")
    assert done.returncode == 2 and done.stdout == ""
    assert f"unknown variable {given.split('=')[0]}; did you mean {meant}" in done.stderr


def test_without_a_python_the_known_ones_are_listed() -> None:
    done = make("help", "PROFIL=smoke", "PYTHON=/nowhere/python3")
    assert done.returncode == 2 and f"unknown variable PROFIL; there are {' '.join(KNOWN)}" in done.stderr


def commands(*words: str) -> list[str]:
    """What is run, each from the name of its module on."""
    done = make(*words, f"PYTHON={sys.executable}")
    assert done.returncode == 0, done.stderr
    return [line.partition(" -m ")[2].replace('"', "") for line in done.stdout.splitlines() if "python -m " in line]


def settings(command: str) -> tuple[Any, ...]:
    """The settings of `data build …`, `distill run …` or `rank run …`."""
    name, _, *flags = command.split()
    stage = import_module(f"{name}.config")
    return parse_arguments(stage.ARGUMENTS, ROOT / name / "configs", flags)


def test_listings_are_built_here_and_run_as_their_profiles_say() -> None:
    run = [line for line in commands("rank", "DATA=listings") if line.split()[1] in ("build", "run")]
    assert [line.split()[0] for line in run] == ["data", "distill", "rank"]
    for command, profile in zip(run, commands("rank", "PROFILE=listings")[-3:], strict=True):
        assert "--profile listings" in profile and settings(command) == settings(profile)


@pytest.mark.parametrize(
    ("words", "name"),
    [(["PROFILE=smoke"], "toy-listings"), (["PROFILE=full"], "listings-full"), (["CONFIG=my.yaml"], "listings")],
)
def test_listings_of_another_profile_have_a_name_of_their_own(words: list[str], name: str) -> None:
    built, distilled, ranked = commands("rank", "DATA=listings", *words)[-3:]
    assert f"--listings --name {name}" in built and f"--name {name}" in distilled
    assert f"--name {name} --no_item_id_embedding" in ranked
    [benched] = [line for line in commands("bench", "DATA=listings", *words) if line.startswith("benchmarks.ranker")]
    assert f"--name {name} --no_item_id_embedding" in benched


def test_tables_of_others_are_read_and_not_built() -> None:
    run = commands("rank", "DATA=mine")
    assert not any("data build" in line or "--no_item_id_embedding" in line for line in run)
    assert run[-1].split() == ["rank", "run", "--profile", "default", "--name", "mine"]
    assert [line.split()[0] for line in commands("rank", "DATA=journey")[-3:]] == ["data", "distill", "rank"]


@pytest.mark.parametrize("words", [["DATA=listings"], ["DATA=mine"], []])
def test_another_encoder_leaves_stage_one_out(words: list[str]) -> None:
    run = commands("rank", *words, "ENCODER=artifacts/journey/encoder")
    assert not any(line.startswith("distill") for line in run)
    assert run[-1].startswith("rank run") and run[-1].split()[-2:] == ["--encoder", "artifacts/journey/encoder"]
    assert any(line.startswith("data build") for line in run) == (words != ["DATA=mine"])


def test_known_variables_and_the_environment_are_taken() -> None:
    values = [f"{name}=1" for name in KNOWN if name not in ("CONFIG", "PYTHON")]
    assert make("help", *values, "CONFIG=a file.yaml", "SHELL=/bin/sh").returncode == 0
    assert make("help", PROFIL="smoke", XYZ="1").returncode == 0


def test_a_demo_ranks_first_and_serves_the_same_run() -> None:
    *before, last = commands("demo", "PROFILE=smoke")
    assert [line.split()[:2] for line in before][-1] == ["rank", "run"]
    assert last.split() == ["rank", "serve", "--profile", "smoke", "--log_time"]
    assert commands("demo", "DATA=listings")[-1].endswith("--name listings --log_time")


@pytest.mark.parametrize(("target", "checked"), [("rank", False), ("demo", False), ("test", True), ("lint", True)])
def test_ranking_does_not_wait_for_what_tests_need(target: str, checked: bool, tmp_path: Path) -> None:
    installed = installed_by(target, tmp_path)
    assert ["dev" in extras for extras in installed] == ([False, True] if checked else [False])


def test_the_site_brings_what_it_takes_and_no_tests(tmp_path: Path) -> None:
    first, then = installed_by("docs", tmp_path)
    assert "docs" not in first and "docs" in then and "dev" not in then


def test_ray_is_installed_and_asked_for_where_it_is_named(tmp_path: Path) -> None:
    assert not any("--engine" in line for line in commands("rank"))
    run = [line for line in commands("rank", "ENGINE=ray") if line.split()[1] == "run"]
    assert [line.split()[0] for line in run] == ["distill", "rank"] and all("--engine ray" in line for line in run)
    assert settings(run[-1])[0].engine == "ray"
    assert ["ray" in extras for extras in installed_by("rank", tmp_path, "ENGINE=ray")] == [False, True]


def installed_by(target: str, folder: Path, *variables: str) -> list[list[str]]:
    """The extras that each of a target's installations brings, in a folder without an environment."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (folder / name).symlink_to(ROOT / name)
    done = make("-C", str(folder), target, *variables, f"PYTHON={sys.executable}")
    assert done.returncode == 0, done.stderr
    return [extras.split(",") for extras in re.findall(r"pip install .*-e '\.\[(.*?)\]'", done.stdout)]


def test_tables_and_artifacts_may_be_in_a_store() -> None:
    fetched, distilled, ranked = commands("rank", "DATA=s3://shop/tables/mine/", "ARTIFACTS=s3://shop/a")[-3:]
    where = ["--name", "mine", "--artifacts", "s3://shop/a"]
    assert fetched.split() == ["data", "fetch", "s3://shop/tables/mine", *where]
    assert distilled.split() == ["distill", "run", "--profile", "default", *where]
    assert ranked.split() == ["rank", "run", "--profile", "default", *where]
    assert commands("rank", "ARTIFACTS=/big/disk")[-3].split()[-2:] == ["--artifacts", "/big/disk"]
    assert "/big/disk/mine/data is not there" in make("rank", "DATA=mine", "ARTIFACTS=/big/disk").stdout
    assert make("rank", "DATA=s3://shop/a;b").returncode == 2
