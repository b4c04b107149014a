import pytest

from v2g.check_digit import ALPHABET, check_digit_holds, with_check_digit

# eMI3 "Check Digit Calculation for Contract-IDs", eMI3 standard 1.0 part 2 section 1.2.2.1, and the public tests of
# ShellRechargeSolutionsEU/mobilityid
PUBLISHED = (
    "NN123ABCDEFGHIT",
    "FRXYZ1234567892",
    "ITA1B2C3E4F5G64",
    "ESZU8WOX834H1DR",
    "PT73902837ABCZZ",
    "DE83DUIEN83QGZD",
    "DE83DUIEN83ZGQM",
    "DE8AA0012345670",
    "DE8AACA2B3C4D5L",
)


@pytest.mark.parametrize("emaid", PUBLISHED)
def test_of_all_characters_only_the_published_one_holds(emaid: str) -> None:
    assert [c for c in ALPHABET if check_digit_holds(emaid[:14] + c)] == [emaid[14]]


@pytest.mark.parametrize("emaid", PUBLISHED)
def test_a_wrong_or_swapped_character_is_seen(emaid: str) -> None:
    for place in range(14):
        wrong = "A" if emaid[place] != "A" else "B"
        assert not check_digit_holds(emaid[:place] + wrong + emaid[place + 1 :])
        swapped = emaid[:place] + emaid[place + 1] + emaid[place] + emaid[place + 2 :]
        assert check_digit_holds(swapped) == (swapped == emaid)


@pytest.mark.parametrize("text", ["", "DE83DUIEN83QGZ", "DE83DUIEN83QGZDD", "de83duien83qgzd", "DE83DUIEN83QGZ-"])
def test_other_texts_have_none(text: str) -> None:
    assert not check_digit_holds(text)


def test_the_check_digit_is_added_where_it_is_missing() -> None:
    for emaid in ("DE8AACA2B3C4D5N", "DEPLBC000000012"):
        made = with_check_digit(emaid[:14])
        assert check_digit_holds(made)
        assert made[:14] == emaid[:14]
    assert with_check_digit("DE8AACA2B3C4D5N") == "DE8AACA2B3C4D5N"
    assert with_check_digit("lower case  14") == "lower case  14"
