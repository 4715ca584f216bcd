import pytest

from prectr.data.journey.sizes import spoken_sizes


@pytest.mark.parametrize(
    ("package_size", "spoken"),
    [
        ("12 OZ", ("12 oz", "12 ounce")),
        ("14.0 OZ", ("14 oz", "14 ounce")),
        ("15 1/4 OZ", ("15.25 oz", "15.25 ounce")),
        (".5 GAL", ("half gallon", "half a gallon")),
        ("1/2 GAL", ("half gallon", "half a gallon")),
        ("1 GA", ("gallon", "1 gallon")),
        ("GAL", ("gallon", "1 gallon")),
        ("2 L BTL", ("2 liter", "2 l")),
        ("L 16 OZ", ("16 oz", "16 ounce")),
        ("12 PK/12 OZ", ("12 pack", "12 pk")),
        ("10/6.75 OZ", ("10 pack", "10 pk")),
        ("  18   CT ", ("18 count", "18 ct")),
        ("150 SQ FT", ("150 sq ft",)),
        ("1 DZ", ("dozen", "1 dozen")),
    ],
)
def test_a_size_is_said_as_people_say_it(package_size: str, spoken: tuple[str, ...]) -> None:
    assert spoken_sizes(package_size) == spoken


@pytest.mark.parametrize(
    "package_size", [None, "", "CTN", "EMERALD", "22 X28 IN", "3/4 OZZ", "971267  PK", "0 OZ", "SOFT"]
)
def test_what_nobody_would_say_is_not_said(package_size: str | None) -> None:
    assert spoken_sizes(package_size) == ()
