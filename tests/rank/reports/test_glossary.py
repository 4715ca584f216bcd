"""The glossary: one file, in order, read by the report."""

import re

import pytest

from prectr.rank.reports.glossary import GLOSSARY, TERMS, of_columns, read_terms
from prectr.rank.reports.sections import BETTER


def test_every_entry_is_one_paragraph_in_the_order_of_the_alphabet() -> None:
    text = GLOSSARY.read_text(encoding="utf-8")
    names = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert names == sorted(names, key=str.lower) and len(set(names)) == len(names)
    assert len(re.findall(r"^### .+\n\S.+\n(?=\n### |\Z)", text, re.MULTILINE)) == len(names)


def test_the_terms_of_the_report_are_defined_there() -> None:
    terms = read_terms()
    assert set(terms) == set(TERMS) and all(term.text and term.definition for term in terms.values())
    assert "](" not in " ".join(term.text for term in terms.values())


def test_every_measure_with_an_arrow_has_a_term() -> None:
    assert set(of_columns(read_terms())) == set(BETTER)


def test_links_stay_on_the_page() -> None:
    cold = read_terms(["Cold start", "New-user ladder"])["Cold start"]
    assert '<a href="#term-new-user-ladder">new-user ladder</a>' in cold.definition
    assert "cutting histories" in cold.definition and "#term-history" not in cold.definition
    assert "cutting histories" in cold.text and "<" not in cold.text


def test_code_is_code_and_signs_are_escaped() -> None:
    window = read_terms(["Window", "GAUC", "PCOC"])
    assert "<code>[since_row, before_row)</code>" in window["Window"].definition
    assert "<em>coverage</em>" in window["GAUC"].definition


def test_a_term_without_an_entry_is_an_error() -> None:
    with pytest.raises(KeyError, match="no entry 'Flux'"):
        read_terms(["Flux"])
