"""JSON from anywhere."""

import pytest

from prectr.shared.strict_json import loads


def test_what_is_json_is_read() -> None:
    assert loads('{"levels": ["none", "exact"], "auc": null}') == {"levels": ["none", "exact"], "auc": None}


@pytest.mark.parametrize("text", ["", "{", "'a'", "[1,]", "[" * 100_000, '{"a":' * 100_000, b"\xff"])
def test_what_is_no_json_is_a_value_error_however_deep(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        loads(text)
