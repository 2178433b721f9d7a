"""Is nothing kept longer than it is needed, and is everybody told who may hold it?"""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from actors import hosts, known, local
from actors.instance import Instance
from actors.known import Actor
from fedmatch import app
from fedmatch.board import answers, conversations, drafts, life, listings, notifications, publish, responses, review
from fedmatch.board.answers import Response
from fedmatch.board.terms import Floor, Terms
from fedmatch.safety import retention
from outbox import posts
from schemas.objects import PUBLIC, ActorDocument, Note, Proposal
from schemas.reading import Iri
from schemas.storage import Transaction
from tests import ready
from tests.fakepeer import FakePeer
from tests.friends import befriend
from tests.world import Clock, World, write_config

TEXT = "the roof of the small theatre"
REQUEST = Proposal("request", "A roof", TEXT, categories=("LegalAid",))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[tuple[Instance, Clock]]:
    clock = Clock()
    made = await app.build(ready.migrated(write_config(tmp_path / "instance")), clock=clock)
    yield made, clock
    await app.close(made)


async def remote(instance: Instance) -> Actor:
    base = "https://elsewhere.example/users/rosa"
    document = ActorDocument(Iri(base), "Person", "rosa", Iri(f"{base}/inbox"), (), followers=Iri(f"{base}/followers"))

    async def body(tx: Transaction) -> Actor:
        return await known.store(tx, instance, document, "elsewhere.example", await hosts.ensure(tx, instance, "elsewhere.example"))

    return await instance.database.write(body)


async def arrive(instance: Instance, author: Actor, number: int, *, public: bool, status: str = "open") -> Iri:
    """A listing of somebody elsewhere; one that is not public comes sealed."""
    ours = await instance.database.read(known.application)
    note = Note(
        Iri(f"https://elsewhere.example/posts/{number}"),
        author.uri,
        f"<p>{TEXT}</p>",
        published=instance.clock.now().replace(microsecond=0),
        to=(PUBLIC,) if public else (ours.uri,),
        proposal=Proposal("request", "A roof", TEXT, status, categories=("LegalAid",)),
    )

    async def body(tx: Transaction) -> None:
        assert isinstance(await posts.store(tx, instance, author, note, local=False, confidential=not public), posts.Post)

    await instance.database.write(body)
    return note.id


async def held(instance: Instance) -> set[str]:
    async def look(tx: Transaction) -> set[str]:
        return {row["uri"] for row in await tx.all("select post.uri from listing join post on post.id = listing.post_id")}

    return await instance.database.read(look)


async def sweep(instance: Instance) -> None:
    await retention.sweep(instance, "all", b"")


@pytest.mark.parametrize("audience", ["public", "local"])
async def test_the_text_of_a_closed_listing_goes_after_30_days(house: tuple[Instance, Clock], audience: publish.AudienceName) -> None:
    instance, clock = house
    amina = await local.create(instance, "amina")
    made = await publish.listing(instance, amina, REQUEST, "en", audience=audience)
    await instance.database.write(life.fulfil, instance, made.id)

    clock.move(days=29)
    await sweep(instance)
    assert await held(instance) == {made.url}

    clock.move(days=2)
    await sweep(instance)
    assert await held(instance) == set()
    assert await instance.database.read(listings.find, instance, made.url) is None


async def test_an_open_listing_stays_however_old(house: tuple[Instance, Clock]) -> None:
    instance, clock = house
    amina = await local.create(instance, "amina")
    until = clock.now() + timedelta(days=300)
    offer = Proposal("offer", "Advice", TEXT, categories=("LegalAid",), until=until, expires=until)
    made = await publish.listing(instance, amina, offer, "en", audience="public")

    clock.move(days=200)
    await sweep(instance)

    assert await held(instance) == {made.url}


async def test_what_came_from_elsewhere_ends_with_its_end(house: tuple[Instance, Clock]) -> None:
    # Given a public and a sealed listing from elsewhere, both closed, and an open one of each
    instance, clock = house
    rosa = await remote(instance)
    public, sealed = await arrive(instance, rosa, 1, public=True, status="fulfilled"), await arrive(instance, rosa, 2, public=False, status="fulfilled")
    open_public, open_sealed = await arrive(instance, rosa, 3, public=True), await arrive(instance, rosa, 4, public=False)

    # Then the sealed one that ended goes at once, the public one after 30 days
    await sweep(instance)
    assert await held(instance) == {public, open_public, open_sealed}
    assert sealed not in await held(instance)

    clock.move(days=31)
    await sweep(instance)
    # and the other sealed one too, for nobody heard of its home for 30 days
    assert await held(instance) == {open_public}


async def test_a_sign_of_its_home_keeps_what_is_sealed(house: tuple[Instance, Clock]) -> None:
    instance, clock = house
    rosa = await remote(instance)
    sealed = await arrive(instance, rosa, 1, public=False)
    clock.move(days=29)

    async def heard(tx: Transaction) -> None:
        assert rosa.host_id is not None
        await tx.execute("update host set last_heard = :now where id = :id", now=instance.clock.ms(), id=rosa.host_id)

    await instance.database.write(heard)
    clock.move(days=2)
    await sweep(instance)
    assert await held(instance) == {sealed}

    clock.move(days=29)
    await sweep(instance)
    assert await held(instance) == set()


@pytest.mark.parametrize("audience", ["direct", "followers"])
async def test_a_private_post_of_a_silent_server_goes_and_a_public_one_stays(house: tuple[Instance, Clock], audience: str) -> None:
    # Given a post of somebody elsewhere that is not for everybody, and one that is
    instance, clock = house
    amina, rosa = await local.create(instance, "amina"), await remote(instance)
    for number, to in enumerate(((amina.uri if audience == "direct" else rosa.followers or rosa.uri,), (PUBLIC,))):
        note = Note(Iri(f"https://elsewhere.example/notes/{number}"), rosa.uri, f"<p>{TEXT}</p>", published=instance.clock.now().replace(microsecond=0), to=to)

        async def body(tx: Transaction, note: Note = note) -> None:
            stored = await posts.store(tx, instance, rosa, note, local=False)
            assert isinstance(stored, posts.Post)
            assert stored.visibility == (audience if note.id.endswith("0") else "public")

        await instance.database.write(body)

    async def left() -> set[str]:
        return {row["uri"] for row in await instance.database.read(_all_posts)}

    # When nothing is heard of its server for a month
    clock.move(days=29)
    await sweep(instance)
    assert len(await left()) == 2
    clock.move(days=2)
    await sweep(instance)
    # Then what was never for everybody is gone
    assert await left() == {"https://elsewhere.example/notes/1"}


async def _all_posts(tx: Transaction) -> list[Any]:
    return await tx.all("select post.uri from post")


async def test_what_nobody_lets_pass_goes_after_30_days_and_its_author_is_told(tmp_path: Path) -> None:
    # Given one that waits for a review, one that was refused, and one that a person let pass and that waits for its hour
    clock = Clock()
    instance = await app.build(ready.migrated(write_config(tmp_path / "instance", review='"everything"')), clock=clock)
    amina = await local.create(instance, "amina")
    embargo = Terms(embargo=clock.now() + timedelta(days=60))
    made = [await publish.listing(instance, amina, REQUEST, "en", audience="public", terms=terms) for terms in (Terms(), Terms(), embargo)]
    await instance.database.write(review.reject, instance, made[1].id, None, "not so")
    await instance.database.write(review.approve, instance, made[2].id, None)

    async def waiting() -> dict[int, str]:
        return {one.id: one.state for one in await instance.database.read(drafts.newest, instance)}

    async def told() -> list[str]:
        return [one.about for one in await instance.database.read(notifications.newest, instance, amina.id) if one.kind == "listing.lapsed"]

    # When nobody does anything about the first two
    clock.move(days=29, hours=22)
    await sweep(instance)
    assert await waiting() == dict(zip([one.id for one in made], ("held", "refused", "scheduled"), strict=True))
    clock.move(hours=4)
    await sweep(instance)
    # Then they are gone, and who wrote them knows
    assert await waiting() == {made[2].id: "scheduled"}
    assert sorted(await told()) == sorted(str(one.id) for one in made[:2])
    await app.close(instance)


async def test_it_comes_round_by_itself_and_leaves_no_byte(world: World) -> None:
    # Given a request of an instance that runs, fulfilled
    site = await world.site("a")
    amina = (await world.person("amina@a")).actor
    canary = "canary-7f3a-roof"
    made = await publish.listing(site.instance, amina, Proposal("request", "A roof", canary, categories=("LegalAid",)), "en", audience="public")
    await site.instance.database.write(life.fulfil, site.instance, made.id)
    await world.settle()
    assert world.grep(canary) != {}

    # When 31 days go by
    await world.later(days=31)
    await world.later(hours=2)

    # Then nothing of its text lies in any file
    assert world.grep(canary) == {}


async def test_words_and_pair_go_30_days_after_completion_whatever_either_writes_then(world: World, peer: FakePeer) -> None:
    # Given somebody on an ordinary server whose help is over
    asker, helper = await world.person("asker@a"), peer.actor("helper")
    site, instance = asker.site, asker.site.instance

    async def answered() -> Response:
        (held,) = await instance.database.read(answers.of_actor, instance, asker.actor)
        return held

    async def step(act: Any, *values: Any, **more: Any) -> None:
        held = await answered()

        async def body(tx: Transaction) -> None:
            await act(tx, instance, asker.actor, held, *values, **more)

        await instance.database.write(body)
        instance.wake("delivery")
        await world.settle()

    asked = await asker.listing("request", "A lawyer", "Asylum.", skills=["AsylumLaw"])
    first = helper.direct("<p>I know that law.</p>", asker.uri, f"@{asker.handle}", inReplyTo=asked.url)
    assert (await helper.send(helper.create(first), f"{asker.uri}/inbox")).status == 202
    await world.settle()
    await step(responses.accept)
    await step(responses.complete)

    # When both write once more on the last day, the helper to somebody else as well
    await world.later(days=29)
    await step(conversations.say, "canary-late-thanks", readable_there=True)
    named = [(asker.uri, f"@{asker.handle}"), ("https://else.example/u", "@u@else.example")]
    mentions = [{"type": "Mention", "href": href, "name": name} for href, name in named]
    last = helper.direct("<p>canary-late-welcome</p>", asker.uri, f"@{asker.handle}", inReplyTo=first["id"])
    assert (await helper.send(helper.create(last | {"tag": mentions}), f"{asker.uri}/inbox")).status == 202
    await world.settle()
    assert (await answered()).words.flagged
    assert await site.count("message") == 2
    assert await site.count("letter") > 0

    # Then all of it is gone the day after the next, also what was kept for the other server to fetch
    await world.later(days=2)
    await world.later(hours=2)
    for table in ("response", "conversation", "message", "response_name", "letter"):
        assert await site.count(table) == 0, table


async def test_what_came_sealed_and_ends_while_nobody_says_so_goes_at_once(world: World) -> None:
    # Given a request for trusted peers that lies at one of them, whose home is silent from then on
    a, b = await world.site("a"), await world.site("b")
    await befriend(world, a, b)
    amina = await world.person("amina@a")
    until = world.clock.now() + timedelta(days=3)
    await amina.listing("request", "A roof", TEXT, categories=["LegalAid"], audience="network", terms=Terms(readers=Floor(0)), until=until)
    await world.settle()
    assert await b.count("listing") == 1
    await a.stop()
    # When its time is over, then nothing of it is left, without waiting for the next round
    world.clock.move(days=3, hours=1)
    b.instance.wake("job")
    await world.settle()
    assert await b.count("listing", "confidential = 1") == 0


async def test_an_edit_of_what_closed_does_not_put_its_end_off(world: World) -> None:
    # Given a public request that is fulfilled, here and at a peer, and edited 20 days later
    a, b = await world.site("a"), await world.site("b")
    await befriend(world, a, b)
    amina = await world.person("amina@a")
    made = await amina.listing("request", "A roof", TEXT, categories=["LegalAid"])
    await a.instance.database.write(life.fulfil, a.instance, made.id)
    await world.later(minutes=1)
    assert await b.count("listing", "state = 'fulfilled'") == 1
    await world.later(days=20)
    await amina.change(made, title="Two roofs")
    await world.settle()
    assert [one["title"] for one in await b.listings()] == ["Two roofs"]
    # Then it goes 30 days after it closed, at the peer too, though nobody tells it to
    await a.stop()
    await world.later(days=11)
    await world.later(hours=2)
    assert await b.count("listing") == 0
    await a.start()
    await world.later(hours=2)
    assert await a.count("listing") == 0
