"""Seeds: the same everywhere, and different wherever the names differ."""

import random
import subprocess
import sys

import numpy as np
import torch

from prectr.shared.seeds import generator, set_seed

GOLDEN = 80432


def test_golden_value() -> None:
    assert generator(0, "pages", "noise").integers(1_000_000) == GOLDEN


def test_another_process_draws_the_same() -> None:
    code = "from prectr.shared.seeds import generator; print(generator(0, 'pages', 'noise').integers(1_000_000))"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert int(shown) == GOLDEN


def test_seed_and_names_all_count() -> None:
    names: list[tuple[str | int, ...]] = [(), ("a",), ("a", "b"), ("ab",), ("b", "a"), (1,), ("1",)]
    draws = [generator(seed, *each).integers(2**60) for seed in (0, 1) for each in names]
    assert len(set(draws)) == len(draws)


def test_set_seed_rules_python_numpy_and_torch() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), np.random.random(), torch.rand(1).item()

    set_seed(3)
    first = draw()
    assert draw() != first
    set_seed(3)
    assert draw() == first
