"""The language of a shop's texts is guessed offline, from many of them, and told where they agree."""

import sys

import numpy as np
import pytest

from prectr.data.checks.encoders import ENGLISH, PACKAGED, verdict
from prectr.data.checks.languages import BLOCK, language_of
from prectr.data.checks.texts import TextFacts, Texts

GERMAN = ["Schuhe aus rotem Leder für Herren", "Blaue Lampe mit Schirm", "Kaffeebohnen ganze Bohne", "Küchentuch weiß"]
ENGLISH_TEXTS = ["red leather shoe for men", "blue lamp with a shade", "whole bean coffee", "white kitchen towel"]


def facts(name: str, language: str | None, pieces: float = 1.5) -> TextFacts:
    return TextFacts(name, np.array([3, 4]), pieces, 0.0, {"Latin": 1.0}, language)


@pytest.mark.parametrize(
    ("texts", "code"), [(GERMAN, "de"), (ENGLISH_TEXTS, "en"), (["赤い革靴"] * 3, "ja"), ([], None)]
)
def test_many_texts_tell_their_language(texts: list[str], code: str | None) -> None:
    pytest.importorskip("py3langid")
    assert language_of(texts * 30) == code
    assert language_of([text.upper() for text in texts] * 30) == code


def test_a_mixture_and_a_missing_library_are_no_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("py3langid")
    assert language_of([*GERMAN * (BLOCK // 4 + 1)][:BLOCK] + [*ENGLISH_TEXTS * (BLOCK // 4 + 1)][:BLOCK]) is None
    monkeypatch.setitem(sys.modules, "py3langid", None)
    assert language_of(GERMAN * 30) is None


def test_the_english_default_is_not_praised_for_another_language() -> None:
    said, others = verdict(Texts(facts("queries", "de"), facts("item texts", "de")), ENGLISH[0])
    assert "was made for English, and the item texts look like another language, de" in said
    assert others[0] == PACKAGED and others[-1][0] == "scratch"
    for guess in ("en", None):
        assert verdict(Texts(facts("queries", guess), facts("item texts", guess)), ENGLISH[0])[1] == []
    spelt = Texts(facts("queries", "de", 2.4), facts("item texts", "de"))
    assert ENGLISH[0] not in {row[0] for row in verdict(spelt, "mine")[1]}
