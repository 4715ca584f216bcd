"""The variables of `make`: the known ones are taken, a mistyped one is refused, the environment is left alone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_known_variables_and_the_environment_are_taken() -> None:
    values = [f"{name}=1" for name in KNOWN if name not in ("CONFIG", "PYTHON")]
    assert make("help", *values, "CONFIG=a file.yaml", "SHELL=/bin/sh").returncode == 0
    assert make("help", PROFIL="smoke", XYZ="1").returncode == 0
