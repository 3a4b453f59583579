"""The invented people are always the same, all different, and nobody's."""

import unicodedata

from folding import fold
from simulator.people import invent


def test_the_first_person_is_nadia_petrov() -> None:
    nadia = invent(0)
    assert (nadia.full_name, nadia.user_name) == ("Nadia Petrov", "nadia.petrov@acme.example")


def test_two_thousand_people_differ_in_name_and_in_id_even_when_case_is_ignored() -> None:
    people = [invent(number) for number in range(2_000)]
    assert len({fold(person.user_name) for person in people}) == 2_000
    assert len({person.okta_id.lower() for person in people}) == 2_000
    assert [invent(number) for number in range(2_000)] == people


def test_their_addresses_belong_to_nobody() -> None:
    assert {invent(number).user_name.rpartition(".")[2] for number in range(2_000)} == {"example"}


def test_okta_ids_look_as_okta_makes_them() -> None:
    assert all(len(invent(n).okta_id) == 20 and invent(n).okta_id.startswith("00u") for n in range(100))


def test_the_back_fill_has_names_of_many_scripts() -> None:
    letters = "".join(invent(number).full_name for number in range(201))
    scripts = {unicodedata.name(letter).split()[0] for letter in letters if letter.isalpha()}
    assert len(scripts) >= 12
    assert {"LATIN", "CYRILLIC", "CJK", "ARABIC", "HEBREW", "DEVANAGARI", "HANGUL", "GREEK"} <= scripts


def test_the_back_fill_has_awkward_names() -> None:
    names = [invent(number).full_name for number in range(201)]
    assert any("'" in name for name in names)
    assert any("’" in name for name in names)
    assert any(len(name) > 70 for name in names)
    assert any(ord(letter) > 0xFFFF for name in names for letter in name)
    assert any(name.startswith("X ") for name in names)
