"""A request or an offer reads well where nobody knows the word, in ten languages, and what cannot stand is named with its field and cure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas import html, vocabulary
from schemas.listings import Invalid, content, hashtags, validated
from schemas.objects import Proposal

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
TAGS = "https://a.example/tags/"


def proposal(**changes: Any) -> Proposal:
    fields: dict[str, Any] = {
        "kind": "request",
        "title": "Radio engineer for a youth station",
        "text": "We start in spring.\n\nCan you advise us?",
        "language": "en",
        "categories": ["Connectivity"],
        "skills": ["radio"],
        "speaks": ["ar", "en"],
        "region": "ye",
        "urgency": "weeks",
        "until": "2026-12-22",
        "now": NOW,
    } | changes
    return validated(**fields)


def test_a_request_is_complete_without_any_extension() -> None:
    assert html.to_text(content(proposal(), "en", TAGS)) == (
        "Request – Connectivity and circumvention: Radio engineer for a youth station\n\n"
        "We start in spring.\n\nCan you advise us?\n\n"
        "Skills: Radio broadcasting\nLanguages: Arabic, English\nRegion: Yemen\nUrgency: within weeks\nOpen until: December 22, 2026\n\n"
        "How to answer: send a private (direct) message to this account.\n\n"
        "#Request #Connectivity #RadioBroadcast"
    )


@pytest.mark.parametrize("language", vocabulary.LANGUAGES)
@pytest.mark.parametrize("status", ["open", "matched", "fulfilled", "expired", "withdrawn", "paused"])
def test_every_language_has_all_its_words(language: str, status: str) -> None:
    shown = content(replace(proposal(language=language), status=status), language, TAGS)

    assert html.sanitise(shown) == shown  # nothing of it is lost on the way
    assert vocabulary.label("Connectivity", language) in html.to_text(shown)
    assert ("Request" in html.to_text(shown).replace("#Request", "")) == (language == "en")
    assert ('lang="' in shown) == (language in ("ar", "fa"))


def test_persian_reads_from_right_to_left() -> None:
    first = html.to_text(content(proposal(kind="offer", title="مترجم"), "fa"))

    assert first.startswith("پیشنهاد – ")
    assert "زبان‌ها: عربی، انگلیسی" in first


def test_a_language_without_labels_keeps_its_own_mark() -> None:
    shown = content(proposal(title="Alîkarî", text="Em hewce ne"), "ku", TAGS)

    assert '<span lang="ku">Alîkarî</span>' in shown
    assert '<p lang="ku">Em hewce ne</p>' in shown
    assert shown.startswith('<p lang="en"><strong>Request – ')


def test_people_write_text_not_markup() -> None:
    shown = content(proposal(title="<b>x</b> & \u202ey", text='<script>alert("x")</script> https://a.example/?a=1&b=2'), "en", TAGS)

    assert "<b>" not in shown
    assert "<script>" not in shown
    assert "\u202e" not in shown
    assert html.sanitise(shown) == shown


def test_a_closed_request_says_so_first_and_asks_for_no_answer() -> None:
    shown = html.to_text(content(replace(proposal(), status="fulfilled"), "en"))

    assert shown.startswith("Fulfilled – Request – ")
    assert "How to answer" not in shown


def test_the_little_that_is_given_is_enough() -> None:
    bare = validated("offer", "I translate", "From Persian.", "en", [], [], [], now=NOW)

    assert (
        html.to_text(content(bare, "en", TAGS))
        == "Offer: I translate\n\nFrom Persian.\n\nOpen until: December 22, 2026\n\nHow to answer: send a private (direct) message to this account.\n\n#Offer"
    )


def test_at_most_six_hashtags_that_are_words() -> None:
    full = proposal(categories=["LegalAid", "Education", "Funding"], skills=["AsylumLaw", "Translation", "Editing", "Mentoring"])

    assert hashtags(full) == ("Request", "LegalAid", "Education", "Funding", "AsylumLaw", "Translation")
    assert hashtags(Proposal("offer", "x", "y", categories=("a-b", "42", "Ok"))) == ("Offer", "Ok")


def test_words_become_canonical() -> None:
    made = proposal(
        categories=["radio"], skills=["legal-asylum", "translation", "Translation"], speaks=["AR", "zh-hans", "ar"], region="sy", title="  two\n words "
    )

    assert (made.categories, made.skills) == (("Connectivity",), ("RadioBroadcast", "AsylumLaw", "Translation"))
    assert (made.speaks, made.region, made.title) == (("ar", "zh-Hans"), "SY", "two words")
    assert proposal(categories=[], skills=["AsylumLaw", "Translation"]).categories == ("LegalAid", "LanguageHelp")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-12-22", datetime(2026, 12, 22, 23, 59, 59, tzinfo=UTC)),
        ("2026-12-22T10:00:00+03:00", datetime(2026, 12, 22, 7, tzinfo=UTC)),
        ("2026-12-22T10:00:00Z", datetime(2026, 12, 22, 10, tzinfo=UTC)),
        (datetime(2026, 12, 22, tzinfo=UTC), datetime(2026, 12, 22, tzinfo=UTC)),
        (None, None),
        ("", None),
    ],
)
def test_until_is_a_day_or_a_moment(written: str | datetime | None, meant: datetime | None) -> None:
    assert proposal(until=written).until == meant


@pytest.mark.parametrize(
    ("changes", "field", "cure"),
    [
        ({"kind": "wish"}, "kind", "request or offer"),
        ({"title": " \u202e "}, "title", "in one line"),
        ({"title": "x" * 201}, "title", "shorten it to 200"),
        ({"text": ""}, "text", "say what"),
        ({"text": "x" * 5001}, "text", "shorten it to 5000"),
        ({"text": "https://a.example/ " * 21}, "text", "keep the ones"),
        ({"language": "arabic"}, "language", "en, ar"),
        ({"categories": ["LegalAdi"]}, "category", "did you mean LegalAid"),
        ({"categories": ["LegalAid", "Education", "Funding", "Relocation"]}, "category", "at most 3"),
        ({"skills": ["LegalAid"]}, "skill", "did you mean AsylumLaw"),
        ({"skills": ["zzzzz"]}, "skill", "the skills of Connectivity are VPNCircumvention"),
        ({"speaks": ["ar", "klingon"]}, "speaks", "ar,en"),
        ({"region": "Syria"}, "region", "two letters"),
        ({"urgency": "now"}, "urgency", "hours, days, weeks, anytime"),
        ({"until": "next week"}, "until", "2026-12-31"),
        ({"until": "2026-11-21"}, "until", "to come"),
        ({"until": NOW + timedelta(days=800)}, "until", "nearer"),
    ],
)
def test_what_cannot_stand_is_named_with_its_cure(changes: dict[str, Any], field: str, cure: str) -> None:
    with pytest.raises(Invalid) as caught:
        proposal(**changes)

    assert caught.value.field == field
    assert cure in caught.value.cure
    assert str(caught.value).startswith(f"{field} ")
