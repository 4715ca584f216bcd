"""What is kept of texts is what the encoder makes of them, whatever was added and taken back in between."""

import numpy as np
import pytest
import torch

from prectr.rank.inputs.texts import token_tensors
from prectr.rank.serving.text_store import TextStore
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.training.device import autocast
from tests.shared.encoder.tiny_encoder import tiny_encoder

TEXTS = ["red", "a red scarf", "blue shoe of leather for winter and summer", "soap", "a bar of soap"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> LevelEncoder:
    return tiny_encoder(tmp_path_factory.mktemp("vocabulary"), ["no", "yes"])


@pytest.mark.parametrize("bf16", [False, True])
def test_texts_are_read_as_the_encoder_reads_them(encoder: LevelEncoder, bf16: bool) -> None:
    store = TextStore(encoder, bf16)
    store.add(TEXTS[:3])
    store.add(TEXTS[3:])
    with torch.inference_mode(), autocast(encoder.device, bf16):
        items = encoder.encode_by_length(*token_tensors(encoder.tokenize(TEXTS, "item")))
        query = encoder.encode(*token_tensors(encoder.tokenize(TEXTS[1:2], "query")))
    places = np.array([4, 2, 0, 2])
    found, expected = store.items(places), items.take(torch.from_numpy(places))
    length = min(found.mask.shape[1], expected.mask.shape[1])
    assert not expected.mask[:, length:].any() and not found.mask[:, length:].any()
    for name in ("contextual", "static"):
        ours, theirs = (getattr(part, name)[:, :length].float() for part in (found, expected))
        kept = expected.mask[:, :length, None]
        torch.testing.assert_close(ours * kept, theirs * kept, rtol=0, atol=1e-2 if bf16 else 1e-6)
    torch.testing.assert_close(found.pooled, expected.pooled, rtol=0, atol=1e-2 if bf16 else 1e-6)
    torch.testing.assert_close(store.query(TEXTS[1]).pooled, query.pooled, rtol=0, atol=1e-2 if bf16 else 1e-6)
    assert all(parameter.dtype == torch.float32 for parameter in encoder.parameters())


def test_texts_that_are_taken_back_make_room_for_others(encoder: LevelEncoder) -> None:
    store = TextStore(encoder, False)
    first = store.add(TEXTS[:2])
    store.add(TEXTS[2:3])
    store.add(TEXTS[3:4])
    store.add(TEXTS[4:])
    store.keep(3)
    assert len(store) == 3
    again = store.add(["something else"])
    found = store.items(np.array([0, 1, 3]))
    torch.testing.assert_close(found.pooled, torch.cat([first, again]))
    store.keep(2)
    assert len(store) == 2 and len(store.items(np.array([1])).pooled) == 1
