"""The words of a listing: every slug and alias leads to one spelling, every label is there in ten languages."""

import re

import pytest

from schemas import vocabulary
from schemas.vocabulary import UnknownSlug, canonical

SKILLS = [skill for category in vocabulary.categories() for skill in category.skills]


def test_the_taxonomy_is_whole() -> None:
    assert (len(vocabulary.categories()), len(vocabulary.LANGUAGES)) == (14, 10)
    slugs = [one.slug for one in (*vocabulary.categories(), *SKILLS)]
    assert len(slugs) == len(set(slugs))
    for one in (*vocabulary.categories(), *SKILLS):
        assert re.fullmatch(r"[A-Z][A-Za-z]+", one.slug)
        assert set(one.labels) == set(vocabulary.LANGUAGES)
        assert all(one.labels.values())


def test_no_alias_means_two_things() -> None:
    words = [re.sub(r"[\W_]", "", word).casefold() for one in (*vocabulary.categories(), *SKILLS) for word in (one.slug, *one.aliases)]

    assert len(words) == len(set(words))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("LegalAid", "LegalAid"),
        ("legalaid", "LegalAid"),
        ("legal-aid", "LegalAid"),
        ("#LegalAid", "LegalAid"),
        ("Legal aid", "LegalAid"),
        ("legal", "LegalAid"),
        ("radio", "RadioBroadcast"),
        ("legal-asylum", "AsylumLaw"),
        ("media-pr", "PressAndMedia"),
        ("TRANSLATION", "Translation"),
        ("policy-access", "PolicymakerContact"),
    ],
)
def test_every_spelling_leads_to_one(written: str, meant: str) -> None:
    assert canonical(written) == meant
    assert vocabulary.known(written) == meant


EARLIER = [
    "legal-asylum",
    "legal-other",
    "journalism",
    "media-pr",
    "publicity-campaign",
    "translation",
    "interpreting",
    "writing-editing",
    "film-video",
    "arts-music",
    "satire-comedy",
    "design",
    "social-media",
    "technology",
    "digital-security",
    "censorship-circumvention",
    "radio",
    "satellite",
    "info-access",
    "policy-access",
    "advocacy-government",
    "research-documentation",
    "medical",
    "psychosocial",
    "relocation-shelter",
    "humanitarian-goods",
    "training",
    "fundraising-advice",
]


@pytest.mark.parametrize("slug", EARLIER)
def test_the_words_of_the_first_taxonomy_still_mean_something(slug: str) -> None:
    assert vocabulary.category(slug).slug


def test_unknown_words_come_with_near_ones() -> None:
    with pytest.raises(UnknownSlug, match="did you mean Translation") as caught:
        canonical("Transation")
    assert caught.value.near[0] == "Translation"
    with pytest.raises(UnknownSlug, match="the categories are LegalAid"):
        canonical("zzzzzz")
    with pytest.raises(UnknownSlug, match="AsylumLaw"):
        vocabulary.skill("LegalAid")
    assert vocabulary.known("their-word") == "their-word"


def test_a_skill_knows_its_category() -> None:
    assert vocabulary.skill("asylumlaw").category == "LegalAid"
    assert vocabulary.category("radio").slug == "Connectivity"
    assert vocabulary.is_skill("AsylumLaw")
    assert not vocabulary.is_skill("LegalAid")
    assert vocabulary.iri("LegalAid") == "https://w3id.org/fedmatch/ns/category/LegalAid"
    assert vocabulary.iri("AsylumLaw") == "https://w3id.org/fedmatch/ns/skill/AsylumLaw"


def test_labels_come_in_the_nearest_language() -> None:
    assert vocabulary.label("LegalAid", "ar") == "مساعدة قانونية"
    assert vocabulary.label("LegalAid", "zh-TW") == vocabulary.label("LegalAid", "zh-Hans")
    assert vocabulary.label("LegalAid", "es-MX") == "Asistencia legal"
    assert vocabulary.label("LegalAid", "sw") == "Legal aid"
    assert vocabulary.label("their-word", "ar") == "their-word"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ar", "ar"),
        ("AR", "ar"),
        ("zh-hans", "zh-Hans"),
        ("pt_br", "pt-BR"),
        ("ckb", "ckb"),
        ("sr-latn-rs", "sr-Latn-RS"),
        ("xx", None),
        ("english", None),
        ("e", None),
        ("", None),
        ("ar--", None),
    ],
)
def test_languages_are_bcp_47(written: str, meant: str | None) -> None:
    assert vocabulary.canonical_language(written) == meant
    assert vocabulary.is_language(written) == (meant is not None)


def test_regions_are_countries() -> None:
    assert {"SY", "UA", "IR", "XK", "TW", "PS"} <= vocabulary.regions()
    assert not {"EU", "ZZ", "XA", "sy", "001"} & vocabulary.regions()
    assert len(vocabulary.regions()) == 250
    assert vocabulary.region_name("SY", "de") == "Syria"
    assert vocabulary.region_name("SY", "ru") == "Сирия"
    assert vocabulary.language_name("fa", "en") == "Persian"
    assert vocabulary.language_name("qqq", "en") == "qqq"
