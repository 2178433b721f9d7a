"""What does the safety linter make of a whole listing: its words in every language, a region that few share, and phrases of the author's other identities?"""

from datetime import timedelta
from pathlib import Path

import pytest

from actors import local
from actors.instance import Instance
from actors.known import Actor
from fedmatch.board import identities, life, publish
from fedmatch.safety import linter
from schemas import vocabulary
from schemas.objects import Need, Proposal, Translation
from tests.houses import opened
from tests.world import Clock


def request(text: str, region: str | None = None, title: str = "A lawyer for asylum") -> Proposal:
    return Proposal("request", title, text, categories=("LegalAid",), speaks=("ar",), region=region)


async def found(instance: Instance, author: Actor, proposal: Proposal) -> list[tuple[str, str, str]]:
    read = await instance.database.read(linter.findings, instance, author, proposal, "en")
    return [(one.kind, one.field, one.words) for one in read]


def test_every_language_and_every_part_is_read() -> None:
    proposal = Proposal(
        "request",
        "Call +44 20 7946 0958",
        "in words",
        translations=(Translation("ar", "طلب", "اكتبوا إلى sara@example.org"),),
        needs=(Need("a van at 12 Baker Street"),),
    )

    kinds = [(one.kind, one.field) for one in linter.in_text(proposal, "en")]

    assert kinds == [("phone", "title"), ("email", "text"), ("address", "needs")]


async def test_a_region_that_few_share_is_half_a_name(instance: Instance) -> None:
    # Given a region nobody else writes about
    author = await local.create(instance, "amina")
    assert ("region", "region", "YE") in await found(instance, author, request("words", "YE"))

    # When five others ask for the same there, in the same field and language
    for number in range(5):
        other = await local.create(instance, f"other{number}")
        await publish.listing(instance, other, request(f"something else {number}", "YE"), "en", audience="public" if number % 2 else "local")

    # Then one more does not stand out; in another region it still does, and the author's own do not count
    assert await found(instance, author, request("words", "YE")) == []
    assert [kind for kind, _, _ in await found(instance, author, request("words", "KP"))] == ["region"]
    assert [kind for kind, _, _ in await found(instance, await _one_of(instance), request("words", "YE"))] == ["region"]


async def test_a_region_is_counted_over_ninety_days_open_or_closed(database_url: str, tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, database_url, clock) as house:
        # Given four others for this instance alone and a public one; two of them were fulfilled
        author, asked = await local.create(house, "amina"), request("words", "YE")
        made = []
        for number in range(5):
            other = await local.create(house, f"other{number}")
            more = request(f"something else {number}", "YE")
            made.append(await publish.listing(house, other, more, "en", audience="public" if number == 4 else "local"))
        for one in (made[0], made[4]):
            await house.database.write(life.fulfil, house, one.id)
        assert await found(house, author, asked) == []
        # And the others are renewed for months
        for one in made[1:4]:
            await house.database.write(life.renew, house, one.id, clock.now() + timedelta(days=200))
        # Then they count until they were published 90 days ago
        clock.move(days=89, hours=23)
        assert await house.database.read(linter.alike, house, author, asked, "en") == 5
        clock.move(hours=1, seconds=1)
        assert await house.database.read(linter.alike, house, author, asked, "en") == 0


async def _one_of(instance: Instance) -> Actor:
    from actors import known

    actor = await instance.database.read(known.by_name, "other0")
    assert actor is not None
    return actor


async def test_phrases_of_another_identity_of_the_same_person_are_found(instance: Instance) -> None:
    # Given somebody who published under their name, and has a one-time identity
    amina = await local.create(instance, "amina")
    stranger = await local.create(instance, "stranger")
    await publish.listing(instance, amina, request("Since the summer our small theatre in the old town has no roof over the stage."), "en")
    hidden = await identities.make(instance, amina)

    # When the identity writes the same words, with other case and points
    again = request("We sing. OUR SMALL THEATRE, in the old town, has no roof; please help.")

    # Then the stretch is shown to her, and to nobody else who writes so
    assert await found(instance, hidden, again) == [("shared", "text", "OUR SMALL THEATRE, in the old town, has no roof")]
    assert await found(instance, stranger, again) == []
    assert await found(instance, hidden, request("Our theatre needs a roof over its stage.")) == []


async def test_a_link_to_what_another_identity_posted_is_found(instance: Instance) -> None:
    # Given a request under a name, a one-time identity of the same person, and somebody else
    amina, stranger = await local.create(instance, "amina"), await local.create(instance, "stranger")
    posted = await publish.listing(instance, amina, request("A roof over the stage."), "en", audience="public")
    theirs = await publish.listing(instance, stranger, request("Curtains and chairs."), "en", audience="public")
    hidden = await identities.make(instance, amina)
    scheme, _, rest = posted.url.partition("://")
    spelled = f"{scheme.upper()}://{rest.upper().replace('/POSTS/', '/posts/')}"

    # When the identity links to it, in whatever spelling, then it is told; of what is somebody else's, and in its own name, nothing is said
    for link in (posted.url, spelled, f"{posted.url}#primary"):
        assert await found(instance, hidden, request(f"More about it: {link}, and thanks.")) == [("shared", "text", link)]
        assert await found(instance, amina, request(f"More about it: {link}.")) == []
    assert await found(instance, hidden, request(f"Like {theirs.url} and {posted.url}0")) == []


async def test_what_waits_to_be_published_is_compared_too(instance: Instance) -> None:
    amina = await local.create(instance, "amina")
    first, second = await identities.make(instance, amina), await identities.make(instance, amina)
    words = "We sing. Our small theatre in the old town has no roof."
    # Given words of one identity that wait for their hour
    waiting = await publish.listing(instance, first, request(words), "en", audience="public", delay=(10_800, 10_800))
    # When another says them, it is told; the first itself may say them again
    assert [one[0] for one in await found(instance, second, request(words))] == ["shared"]
    assert await found(instance, first, request(words)) == []
    # Then what was taken back before it was published counts no more
    await publish.withdraw(instance, waiting)
    assert await found(instance, second, request(words)) == []


def test_phrases_are_compared_in_scripts_without_spaces() -> None:
    proposal = Proposal("request", "求助", "我们的小剧院在老城区夏天以来没有屋顶,请帮忙")

    (one,) = linter.shared(proposal, ["去年说过:我们的小剧院在老城区夏天以来没有屋顶。"])

    assert one.words == "我们的小剧院在老城区夏天以来没有屋顶"


@pytest.mark.parametrize("language", vocabulary.LANGUAGES)
@pytest.mark.parametrize("kind", ["phone", "email", "coordinates", "address", "id_number", "handle", "profile", "region", "shared"])
def test_every_finding_is_explained_in_every_language(language: str, kind: linter.Kind) -> None:
    told = linter.Finding(kind, "text", "x", 3).json(language)

    assert all(told.values())
    assert "{" not in told["why"] + told["cure"]
    assert told["cure"].rstrip(".。") not in told["why"], "the cure is said once"
    assert language == "en" or told["why"] != linter.Finding(kind, "text", "x", 3).why("en")
