"""What a URI names, and what is said of one that cannot be read."""

from pathlib import Path

import pytest

from prectr.shared.errors import PrectrError
from prectr.shared.store.uri import _reason, is_uri, place_of
from tests.damages import is_sentence
from tests.shared.store.server import BUCKET, refusing


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/folder", True),
        ("gs://bucket", True),
        ("file:///folder", True),
        ("abc://x", True),
        ("folder", False),
        ("/folder", False),
        ("hf:org/name", False),
        ("pypi:package", False),
        ("C://folder", False),
    ],
)
def test_what_is_a_uri(text: str, expected: bool) -> None:
    assert is_uri(text) == expected


def test_a_uri_is_taken_apart() -> None:
    place = place_of("s3://bucket/a folder/b%20c/?endpoint_override=127.0.0.1:1&scheme=http")
    assert (place.uri, place.path) == ("s3://bucket/a folder/b%20c", "bucket/a folder/b c")
    assert (place / "d").path == "bucket/a folder/b c/d" and not place.is_here
    assert place_of("gs://bucket/x").files.type_name == "gcs"
    assert place_of("file:///some/folder").is_here


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("ftp://host/folder", "ftp://…: no store of that kind is known"),
        ("s3:///folder", "it names no bucket"),
        ("s3://somebody:secret@bucket/folder", "credentials in a URI are read by others too"),
        ("s3://bucket/folder?secret_key=secret", "Unexpected query parameter"),
    ],
)
def test_what_cannot_be_a_place_is_refused_in_a_sentence(uri: str, said: str) -> None:
    with pytest.raises(PrectrError) as caught:
        place_of(uri)
    assert said in str(caught.value) and is_sentence(str(caught.value))
    assert "=secret" not in str(caught.value) and ":secret" not in str(caught.value)


@pytest.mark.parametrize(
    "secret", ["plain", "se/cret", "/secret", "sec?ret", "s/e?c/ret", "se#cret", "s@e/cret", "s:e/c"]
)
@pytest.mark.parametrize("scheme", ["s3", "gs", "file"])
def test_credentials_are_refused_whatever_signs_they_hold_and_not_repeated(scheme: str, secret: str) -> None:
    with pytest.raises(PrectrError, match="credentials in a URI are read by others too") as caught:
        place_of(f"{scheme}://AKIAX:{secret}@bucket/folder")
    assert str(caught.value).startswith(f"{scheme}://…@…: ") and is_sentence(str(caught.value))
    assert not any(part in str(caught.value) for part in ("AKIAX", secret, "bucket", "folder", "cret@"))


@pytest.mark.parametrize("uri", ["gs://bucket/a@b", "gs://bucket/a:b@c", "gs://anonymous@bucket/a:b", "file:///a:b@c"])
def test_an_at_sign_further_back_is_a_keys(uri: str) -> None:
    assert place_of(uri).path.endswith(uri.rpartition("/")[2])


@pytest.mark.parametrize(
    ("scheme", "message", "said"),
    [
        ("s3", "AWS Error NO_SUCH_BUCKET during ListObjectsV2 operation: The specified bucket", "no such bucket"),
        ("gs", "google::cloud::Status(NOT_FOUND: The specified bucket does not exist.)", "no such bucket"),
        ("s3", "AWS Error ACCESS_DENIED during HeadObject operation: No response body.", "set AWS_ACCESS_KEY_ID"),
        ("s3", "AWS Error INVALID_ACCESS_KEY_ID during ListObjectsV2: The AWS Access Key Id", "or AWS_PROFILE"),
        ("s3", "AWS Error UNKNOWN (HTTP status 400) during HeadObject: ExpiredToken", "set AWS_ACCESS_KEY_ID"),
        (
            "gs",
            "UNAVAILABLE: curl_easy_perform: resolve host: metadata.google.internal",
            "set GOOGLE_APPLICATION_CREDE",
        ),
        ("s3", "AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7, Could not", "cannot be reached"),
        (
            "s3",
            "AWS Error INTERNAL_FAILURE during PutObject operation: ",
            "AWS Error INTERNAL_FAILURE during PutObject",
        ),
    ],
)
def test_each_refusal_says_what_to_do(scheme: str, message: str, said: str) -> None:
    assert said in _reason(scheme, OSError(message))


def test_a_bucket_that_is_not_there_is_said_to_be_so(server: dict[str, str]) -> None:
    with pytest.raises(PrectrError, match=r"^s3://nowhere/x: there is no such bucket"):
        place_of("s3://nowhere/x").list_files()
    assert place_of(f"s3://{BUCKET}/no/such/folder").list_files() == {}
    with pytest.raises(PrectrError, match="there is no such file or folder"):
        place_of(f"s3://{BUCKET}/no/such/file").read()


def test_who_is_refused_is_told_how_to_name_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(PrectrError) as caught:
            place_of("s3://bucket/x").list_files()
    assert "the store refuses it, without credentials or with these: set AWS_ACCESS_KEY_ID" in str(caught.value)
    assert not any(environment[name] in str(caught.value) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))


@pytest.mark.slow
def test_a_store_that_does_not_answer_is_said_to_be_out_of_reach() -> None:
    with pytest.raises(PrectrError, match=r"^s3://bucket/x: the store cannot be reached: look at the network"):
        place_of("s3://bucket/x?endpoint_override=127.0.0.1:9&scheme=http").list_files()


def test_files_go_there_and_come_back(server: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1" * 100)
    place = place_of(f"s3://{BUCKET}/there")
    (place / "b/c d").put(tmp_path / "a")
    assert {name: info.size for name, info in place.list_files().items()} == {"b/c d": 100}
    (place / "b/c d").fetch(tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"1" * 100
    (place / "b/c d").remove()
    assert place.list_files() == {}
