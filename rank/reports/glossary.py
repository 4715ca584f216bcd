"""The report's part of the glossary: shared/glossary.md, the one place that defines terms, as HTML."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape

import prectr.shared

GLOSSARY = Path(prectr.shared.__file__).parent / "glossary.md"

TERMS = (
    *("95 % interval", "AUC", "Cold start", "Cross-user preference", "ECE", "excess_low@10", "Exposed pages"),
    *("Exposure bias", "Exposure-bias loss", "GAUC", "Gold level", "Hard negative", "Incentive τ", "Judge", "Logloss"),
    *("Macro-F1", "MaxSim", "MRR", "NDCG@10", "New-user ladder", "Open candidates", "PCOC", "Permutation importance"),
    *(
        "Position bias",
        "Position gain",
        "Query head, torso, tail",
        "QWK",
        "Relevance level",
        "Replay",
        "Rival",
        "Semantic consistency",
        "Slice",
    ),
    *("Spearman", "Student", "Teacher", "Twin rate", "Unseen query", "User"),
)
"""What the report speaks of."""

OF_COLUMN = {
    "auc": "AUC", "gauc_page": "GAUC", "gauc_user": "GAUC", "logloss": "Logloss", "pcoc": "PCOC", "ece": "ECE",
    "ndcg@10": "NDCG@10", "excess_low@10": "excess_low@10", "spearman": "Spearman", "qwk": "QWK",
    "macro_f1": "Macro-F1", "mrr": "MRR",
}  # fmt: skip
"""The term of a table's column, by the measure's key in metrics.json."""


@dataclass(frozen=True)
class Term:
    """A term, where on the page it is defined, and its definition as text and as HTML."""

    name: str
    anchor: str
    text: str
    definition: Markup


def read_terms(names: Collection[str] = TERMS) -> dict[str, Term]:
    """The named entries of the glossary, in its order, which is alphabetical. Links lead to entries that are named too.

    Raises:
        KeyError: the glossary has no such entry.
    """
    entries = dict(re.findall(r"^### (.+)\n+(.+)$", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE))
    anchors = {name: f"term-{_slug(name)}" for name in names}
    if missing := [name for name in names if name not in entries]:
        raise KeyError(f"{GLOSSARY.name} has no entry {missing[0]!r}")
    shown = set(anchors.values())
    return {
        name: Term(name, anchors[name], re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", text), _html(text, shown))
        for name, text in entries.items()
        if name in anchors
    }


def of_columns(terms: Mapping[str, Term]) -> dict[str, Term]:
    """The terms of tables' columns, by a column's first word."""
    return {column: terms[name] for column, name in OF_COLUMN.items()}


def _slug(name: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-")


def _html(text: str, shown: Collection[str]) -> Markup:
    """The Markdown of an entry: code, emphasis, and links, of which those to entries that are not shown are text."""

    def link(found: re.Match[str]) -> str:
        anchor = f"term-{found[2]}"
        return f'<a href="#{anchor}">{found[1]}</a>' if anchor in shown else found[1]

    html = re.sub(r"\[([^\]]*)\]\(#([^)]*)\)", link, str(escape(text)))
    return Markup(re.sub(r"\*(.+?)\*", r"<em>\1</em>", re.sub(r"`(.+?)`", r"<code>\1</code>", html)))
