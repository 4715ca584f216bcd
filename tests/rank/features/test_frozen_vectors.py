"""Vectors of texts on disk and in memory, and the axes along which a catalogue differs."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from prectr.rank.features.frozen_vectors import AXES_AT_MOST, FrozenVectors, principal_axes, write_frozen_vectors
from prectr.shared.storage.npy import open_array
from tests.shared.encoder.tiny_encoder import tiny_encoder

TEXTS = ["cola light", "cola", "tea", "soap", "cola light light light", "light tea"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("encoder"), words=["cola", "light", "tea", "soap"])


def test_what_is_written_is_what_the_encoder_says_of_each_text(encoder, tmp_path):
    items, queries = encoder.tokenize(TEXTS, "item"), encoder.tokenize(TEXTS[:2], "query")
    write_frozen_vectors(encoder, items, queries, tmp_path, bf16=False)
    stored = FrozenVectors.open(tmp_path)
    with torch.inference_mode():
        ids, mask = (torch.from_numpy(items[name].astype(np.int64)) for name in ("input_ids", "attention_mask"))
        expected = encoder.encode(ids, mask).pooled.numpy()
    assert stored.items.dtype == np.float16 and stored.items.shape == expected.shape
    np.testing.assert_allclose(stored.items, expected, atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(stored.items.astype(np.float32), axis=1), 1, atol=2e-3)
    assert open_array(tmp_path / "queries.npy").shape == (2, expected.shape[1])
    memory = FrozenVectors.of_texts(encoder, TEXTS, bf16=False, axes=stored.axes)
    np.testing.assert_allclose(memory.items, stored.items, atol=2e-3)
    rows = np.array([2, -1, 2, 0])
    units = stored.units(rows)
    assert units.shape == (4, stored.num_units) and not units[1].any() and np.array_equal(units[0], units[2])
    np.testing.assert_allclose(units, memory.units(rows), atol=1e-2)


def test_axes_are_those_of_a_principal_component_analysis():
    vectors = np.random.default_rng(0).normal(size=(500, 40)) * np.linspace(3, 0.5, 40) + 1
    mean, *axes = principal_axes((vectors[start : start + 70] for start in range(0, 500, 70)), 40)
    assert len(axes) == AXES_AT_MOST
    expected = PCA(5).fit(vectors)
    np.testing.assert_allclose(mean, expected.mean_, atol=1e-5)
    np.testing.assert_allclose(np.abs(np.stack(axes[:5]) @ expected.components_.T), np.eye(5), atol=1e-3)
    assert all(axis[np.abs(axis).argmax()] > 0 for axis in axes)


def test_axes_along_which_nothing_varies_say_nothing():
    flat = np.zeros((20, 6))
    flat[:, 1] = np.arange(20)
    mean, first, *others = principal_axes([flat], 6)
    assert first.tolist() == [0, 1, 0, 0, 0, 0] and mean[1] == 9.5 and not np.any(others)
    assert not np.any(principal_axes([], 6))


def test_without_axes_every_item_is_in_the_middle():
    vectors = FrozenVectors(np.eye(3, dtype=np.float16))
    assert vectors.num_units == 3 and not vectors.units(np.array([0, 2])).any()
