"""What do our people publish, what becomes of what arrives, and who is told when it changes? On both engines."""

import itertools
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors import hosts, known
from actors.instance import Instance
from actors.known import Actor
from fedmatch import handlers, people
from fedmatch.board import deletion, listings, publish
from fedmatch.board.drafts import Draft
from outbox import posts
from schemas.objects import PUBLIC, ActorDocument, Note, Proposal
from schemas.reading import Iri, Row
from schemas.storage import Transaction
from tests.houses import REQUEST, follow, opened, person
from tests.world import Clock


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Instance, Clock]]:
    """An instance on each engine, with a clock of its own."""
    clock = Clock()
    async with opened(tmp_path, database_url, clock) as instance:
        yield instance, clock


async def rows(instance: Instance, sql: str, **values: Any) -> list[Row]:
    async def look(tx: Transaction) -> list[Row]:
        return list(await tx.all(sql, **values))

    return await instance.database.read(look)


async def remote(instance: Instance, name: str = "rosa", host: str = "elsewhere.example") -> Actor:
    """Somebody of another server, as after a fetch."""
    base = f"https://{host}/users/{name}"
    document = ActorDocument(Iri(base), "Person", name, Iri(f"{base}/inbox"), (), shared_inbox=Iri(f"https://{host}/inbox"), followers=Iri(f"{base}/followers"))

    async def body(tx: Transaction) -> Actor:
        return await known.store(tx, instance, document, host, await hosts.ensure(tx, instance, host))

    return await instance.database.write(body)


def theirs(author: Actor, number: int = 1, proposal: Proposal | None = None, **more: Any) -> Note:
    """A public note of somebody elsewhere."""
    given = {
        "published": datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5),
        "to": (PUBLIC,),
        "cc": (Iri(f"{author.uri}/followers"),),
        "proposal": proposal,
    } | more
    return Note(Iri(f"https://{author.host}/notes/{number}"), author.uri, "<p>words</p>", **given)


async def store(instance: Instance, author: Actor, note: Note) -> Any:
    return await instance.database.write(posts.store, instance, author, note, local=False)


async def listed(instance: Instance) -> list[listings.Listing]:
    return await instance.database.read(listings.newest, instance, network=True)


async def sent(instance: Instance) -> list[tuple[str, str]]:
    """The (kind, inbox) of every delivery that waits, oldest first."""
    found = await rows(
        instance,
        """
        select outgoing.kind, delivery.inbox
        from delivery
        join outgoing on outgoing.id = delivery.outgoing_id
        where delivery.state = 'waiting'
        order by delivery.id
        """,
    )
    return [(row["kind"], row["inbox"]) for row in found]


async def followed_by_rosa(instance: Instance, alice: Actor) -> Actor:
    rosa = await remote(instance)

    async def body(tx: Transaction) -> None:
        await tx.execute(
            "insert into follow (id, uri, follower_id, followed_id, state, created_at, changed_at) values (:id, :uri, :follower, :followed, 'accepted', 0, 0)",
            id=instance.ids.new(),
            uri=f"{rosa.uri}#follow",
            follower=rosa.id,
            followed=alice.id,
        )

    await instance.database.write(body)
    return rosa


# -- ours ------------------------------------------------------------------------------------------------------------------------------------------


async def test_a_request_is_a_complete_post_and_goes_to_the_followers(house: tuple[Instance, Clock]) -> None:
    instance, _ = house
    alice = await person(instance, "alice")
    rosa = await followed_by_rosa(instance, alice)
    made = await publish.listing(instance, alice, REQUEST, "en", audience="public")
    assert made.proposal == REQUEST
    assert (made.author, made.origin, made.state, made.audience) == (alice.handle, instance.config.host, "open", "public")
    assert await listed(instance) == [made]
    assert await sent(instance) == [("Create", rosa.shared_inbox)]
    post = await instance.database.read(posts.by_id, made.id)
    assert post is not None
    assert "A lawyer" in post.content
    assert post.in_reply_to is None
    note = await instance.database.read(publish.note, instance, post)
    assert note is not None
    assert note.proposal == REQUEST
    assert note.content == post.content
    assert note.to == (PUBLIC,)


async def test_two_requests_of_one_hour_never_draw_the_same_id(house: tuple[Instance, Clock], monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an hour that has but three ids, each drawn twice
    instance, clock = house
    clock.next_hour()
    alice = await person(instance, "alice")
    draws = itertools.cycle((0, 0, 1, 1, 2, 2))
    monkeypatch.setattr(publish, "secrets", SimpleNamespace(randbits=lambda _bits: next(draws), SystemRandom=secrets.SystemRandom))
    made = [await publish.listing(instance, alice, REQUEST, "en", audience="public") for _ in range(2)]
    await publish.withdraw(instance, made[0])
    # Then what is gone keeps its id, and who comes when none is left hears when there will be
    made.append(await publish.listing(instance, alice, REQUEST, "en", audience="public"))
    assert sorted(one.id & 0xFFFF for one in made) == [0, 1, 2]
    with pytest.raises(publish.CannotPublish, match="try again in the next"):
        await publish.listing(instance, alice, REQUEST, "en", audience="public")
    assert len(await listed(instance)) == 2


async def test_an_edit_tells_whoever_may_hold_it_and_its_time_grows(house: tuple[Instance, Clock]) -> None:
    instance, _ = house
    alice = await person(instance, "alice")
    rosa = await followed_by_rosa(instance, alice)
    made = await publish.listing(instance, alice, REQUEST, "en", audience="public")
    first = await publish.edit(instance, made, replace(REQUEST, text="Other words."))
    second = await publish.edit(instance, first, replace(REQUEST, text="Still other words."))
    assert (first.text, second.text) == ("Other words.", "Still other words.")
    assert first.updated is not None
    assert second.updated is not None
    assert made.published < first.updated < second.updated
    # The first Update never left: the second replaces it.
    assert await sent(instance) == [("Create", rosa.shared_inbox), ("Update", rosa.shared_inbox)]


async def test_words_that_were_in_another_language_are_told_in_it(house: tuple[Instance, Clock]) -> None:
    instance, _ = house
    alice = await person(instance, "alice")
    made = await publish.listing(instance, alice, REQUEST, "de", audience="public")
    changed = await publish.edit(instance, made, REQUEST, language="en")
    post = await instance.database.read(posts.by_id, changed.id)
    assert post is not None
    note = await instance.database.read(publish.note, instance, post)
    assert note is not None
    assert changed.language == post.language == note.language == "en"
    assert dict(note.content_map).keys() == {"en"}


async def test_a_withdrawn_request_is_gone_and_everybody_who_may_hold_it_hears_so(house: tuple[Instance, Clock]) -> None:
    instance, _ = house
    alice = await person(instance, "alice")
    rosa = await followed_by_rosa(instance, alice)
    answerer = await remote(instance, "omar", "third.example")
    made = await publish.listing(instance, alice, REQUEST, "en", audience="public")
    # A direct answer from a third host: it may hold the request too.
    direct = Note(Iri(f"https://{answerer.host}/notes/9"), answerer.uri, "<p>I can</p>", in_reply_to=made.url, to=(alice.uri,))
    await store(instance, answerer, direct)
    gone = await publish.withdraw(instance, made)
    assert gone == replace(made, state="withdrawn")
    assert await listed(instance) == []
    assert {(kind, inbox) for kind, inbox in await sent(instance) if kind == "Delete"} == {("Delete", rosa.shared_inbox), ("Delete", answerer.shared_inbox)}
    assert await rows(instance, "select post_id from listing_tag") == []
    assert [row["former_type"] for row in await rows(instance, "select former_type from tombstone")] == ["Note"]
    with pytest.raises(publish.CannotPublish):
        await publish.withdraw(instance, made)


async def test_time_closes_what_is_ours_and_says_so_once(house: tuple[Instance, Clock]) -> None:
    instance, clock = house
    alice = await person(instance, "alice")
    await followed_by_rosa(instance, alice)
    made = await publish.listing(instance, alice, replace(REQUEST, until=clock.now().replace(microsecond=0) + timedelta(hours=1)), "en", audience="public")
    jobs = await rows(instance, "select key, run_at from job where kind = 'expire'")
    assert [(row["key"], row["run_at"]) for row in jobs] == [(str(made.id), int(made.until.timestamp() * 1000))]  # type: ignore[union-attr]
    expire = handlers.handlers(instance)["expire"]
    await expire(instance, str(made.id), b"")
    assert (await listed(instance))[0].state == "open"
    clock.move(hours=2)
    assert (await listed(instance))[0].state == "expired", "readers do not wait for the job"
    await expire(instance, str(made.id), b"")
    await expire(instance, str(made.id), b"")
    assert [row["state"] for row in await rows(instance, "select state from listing")] == ["expired"]
    assert [kind for kind, _ in await sent(instance)] == ["Create", "Update"]
    reopened = await publish.edit(instance, (await listed(instance))[0], replace(REQUEST, until=clock.now() + timedelta(days=1)))
    assert reopened.state == "open"


async def test_an_answer_to_a_request_is_never_public(house: tuple[Instance, Clock]) -> None:
    instance, _ = house
    alice, bob = await person(instance, "alice"), await person(instance, "bob")
    made = await publish.listing(instance, alice, REQUEST, "en", audience="public")
    with pytest.raises(publish.CannotPublish, match="direct"):
        await publish.post(instance, bob, "I can help", reply_to=made.url)
    answer = await publish.post(instance, bob, "I can help", "direct", reply_to=made.url)
    assert answer.visibility == "direct"
    assert [mention.href for mention in answer.mentions] == [alice.uri]
    assert (await publish.post(instance, alice, "More about it", reply_to=made.url)).visibility == "public"


async def test_who_is_named_is_addressed_and_who_is_not_found_stays_text(house: tuple[Instance, Clock]) -> None:
    instance, _ = house
    alice, bob = await person(instance, "alice"), await person(instance, "bob")
    made = await publish.post(instance, alice, "Hello @bob, @bob@" + instance.config.host + " and @nobody #Radio")
    assert [mention.href for mention in made.mentions] == [bob.uri]
    assert [tag.name for tag in made.hashtags] == ["Radio"]
    assert "@nobody" in made.content
    with pytest.raises(people.NotFound):
        await publish.post(instance, alice, "x", "direct", to=["nobody"])
    with pytest.raises(publish.CannotPublish):
        await publish.post(instance, alice, "x", "direct")


async def test_whoever_goes_takes_every_post_along(house: tuple[Instance, Clock]) -> None:
    instance, _ = house
    alice, bob = await person(instance, "alice"), await person(instance, "bob")
    await follow(instance, bob, alice)
    rosa = await followed_by_rosa(instance, alice)
    for number in range(3):
        await publish.post(instance, alice, f"words {number}")
    await publish.listing(instance, alice, REQUEST, "en", audience="public")
    await deletion.delete_person(instance, alice)
    assert await rows(instance, "select id from post") == []
    assert await sent(instance) == [("Delete", rosa.shared_inbox)] * 5
    await handlers.handlers(instance)["clear_away"](instance, str(alice.id), b"")
    assert await rows(instance, "select id from follow") == []
    actor = await instance.database.read(known.by_id, alice.id)
    assert actor is not None
    assert actor.state == "gone"


async def test_who_is_ended_twice_is_told_of_once(house: tuple[Instance, Clock]) -> None:
    instance, _ = house
    alice = await person(instance, "alice")
    rosa = await followed_by_rosa(instance, alice)
    await deletion.delete_person(instance, alice)
    await deletion.delete_person(instance, alice)
    assert await sent(instance) == [("Delete", rosa.shared_inbox)]


# -- theirs ----------------------------------------------------------------------------------------------------------------------------------------


async def test_a_request_from_elsewhere_is_on_the_board(house: tuple[Instance, Clock]) -> None:
    instance, _ = house
    rosa = await remote(instance)
    await store(instance, rosa, theirs(rosa, proposal=REQUEST, language="en"))
    (one,) = await listed(instance)
    assert one.proposal == REQUEST
    assert (one.author, one.origin, one.local, one.language) == ("rosa@elsewhere.example", "elsewhere.example", False, "en")
    assert await instance.database.read(listings.newest, instance) == []
    assert await instance.database.read(listings.find, instance, one.url) == one
    with pytest.raises(publish.CannotPublish):
        await publish.withdraw(instance, one)
    with pytest.raises(publish.CannotPublish):
        await publish.edit(instance, one, REQUEST)


async def test_what_is_not_for_everybody_never_stands_on_the_board(house: tuple[Instance, Clock]) -> None:
    instance, _ = house
    rosa, alice = await remote(instance), await person(instance, "alice")
    await store(instance, rosa, theirs(rosa, proposal=REQUEST, to=(alice.uri,), cc=()))
    assert await listed(instance) == []
    assert await rows(instance, "select post_id from listing") == []


async def test_updates_move_a_listing_along_its_life_and_never_back_from_its_end(house: tuple[Instance, Clock]) -> None:
    instance, _ = house
    rosa = await remote(instance)
    note = theirs(rosa, proposal=REQUEST)
    await store(instance, rosa, note)

    async def update(minutes: int, **changes: Any) -> listings.Listing:
        changed = replace(note, updated=note.published + timedelta(minutes=minutes), proposal=replace(REQUEST, **changes))  # type: ignore[operator]
        await instance.database.write(posts.change, instance, rosa, changed)
        return (await listed(instance))[0]

    assert (await update(1, status="matched", skills=())).state == "matched"
    assert (await listed(instance))[0].skills == ()
    assert (await update(2, status="nonsense")).state == "open"
    assert (await update(3, status="fulfilled")).state == "fulfilled"
    late = await update(4, status="open", title="Late")
    assert (late.state, late.title) == ("fulfilled", "Late")
    await instance.database.write(posts.change, instance, rosa, replace(note, updated=note.published + timedelta(minutes=5), proposal=None))  # type: ignore[operator]
    assert await listed(instance) == []


async def test_time_closes_what_is_theirs_without_asking_them(house: tuple[Instance, Clock]) -> None:
    instance, clock = house
    rosa = await remote(instance)
    await store(instance, rosa, theirs(rosa, 1, replace(REQUEST, until=clock.now() + timedelta(hours=1))))
    await store(instance, rosa, theirs(rosa, 2, replace(REQUEST, until=clock.now() - timedelta(hours=1))))
    assert [one.state for one in await listed(instance)] == ["expired", "open"]
    clock.move(hours=2)
    (waiting,) = await rows(instance, "select key from job where kind = 'expire'")
    await handlers.handlers(instance)["expire"](instance, waiting["key"], b"")
    assert {row["state"] for row in await rows(instance, "select state from listing")} == {"expired"}
    assert await sent(instance) == []


async def test_an_answer_is_no_post_and_a_public_one_is_not_kept(house: tuple[Instance, Clock]) -> None:
    instance, _ = house
    alice, rosa = await person(instance, "alice"), await remote(instance)
    made = await publish.listing(instance, alice, REQUEST, "en", audience="public")
    offer = await publish.listing(instance, alice, replace(REQUEST, purpose="offer"), "en", audience="public")
    assert isinstance(await store(instance, rosa, theirs(rosa, 1, in_reply_to=made.url)), posts.Taken)
    assert isinstance(await store(instance, rosa, theirs(rosa, 2, in_reply_to=offer.url)), posts.Taken)
    assert isinstance(await store(instance, rosa, theirs(rosa, 3, in_reply_to=made.url, to=(alice.uri,), cc=())), posts.Taken)


async def test_a_blocked_or_limited_host_is_not_on_the_board(house: tuple[Instance, Clock]) -> None:
    from actors import peers

    instance, _ = house
    rosa = await remote(instance)
    await store(instance, rosa, theirs(rosa, proposal=REQUEST))
    await instance.database.write(peers.set_level, instance, rosa.host, "limited")
    await instance.trust.refresh(instance.database)
    assert await listed(instance) == []


async def test_a_deleted_request_from_elsewhere_leaves_the_board(house: tuple[Instance, Clock]) -> None:
    instance, _ = house
    rosa = await remote(instance)
    note = theirs(rosa, proposal=REQUEST)
    await store(instance, rosa, note)
    await instance.database.write(posts.delete, instance, rosa, note.id)
    assert await listed(instance) == []
    assert [row["kind"] for row in await rows(instance, "select kind from job where kind <> 'match'")] == ["erase"]
    await handlers.handlers(instance)["erase"](instance, "all", b"")


@given(order=st.permutations(["Create", "first", "second", "done", "late"]), gone=st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_order_the_news_come_in_they_end_alike(house: tuple[Instance, Clock], order: list[str], gone: bool) -> None:
    """Late and doubled Updates change nothing, an end is an end, and a Delete wins wherever it stands."""
    instance, _ = house
    rosa = await remote(instance)
    note = theirs(rosa, instance.ids.new(), proposal=REQUEST)
    said = {
        "first": replace(REQUEST, title="First", status="matched"),
        "second": replace(REQUEST, title="Second"),
        "done": replace(REQUEST, title="Done", status="fulfilled"),
        "late": replace(REQUEST, title="Late", status="fulfilled"),
    }
    start = note.published or datetime.now(UTC)
    news = [replace(note, updated=start + timedelta(minutes=number), proposal=proposal) for number, proposal in enumerate(said.values(), 1)]
    by_name = dict(zip(said, news, strict=True))
    for word in [*order, *order]:
        if word == "Create":
            await store(instance, rosa, note)
        else:
            await instance.database.write(posts.change, instance, rosa, by_name[word])
    if gone:
        await instance.database.write(posts.delete, instance, rosa, note.id)
        for word in order[:3]:
            await (store(instance, rosa, note) if word == "Create" else instance.database.write(posts.change, instance, rosa, by_name[word]))
    found = await instance.database.read(listings.find, instance, note.id)
    assert (found is None) if gone else (found is not None and (found.title, found.state) == ("Late", "fulfilled"))


class Stepping(Clock):
    """A clock that somebody puts back a little each time it is read."""

    def now(self) -> datetime:
        self.ahead -= timedelta(milliseconds=3)
        return super().now()


async def test_a_request_leaves_with_a_full_hour_also_while_the_clock_goes_back_over_it(database_url: str, tmp_path: Path) -> None:
    clock = Stepping()
    async with opened(tmp_path, database_url, clock) as instance:
        alice = await person(instance, "alice")
        for number in range(12):
            # Given a moment just after the hour: some reading of the clock falls before it
            now = datetime.now(UTC)
            clock.ahead = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=2, milliseconds=4 + 9 * number) - now
            await publish.listing(instance, alice, replace(REQUEST, title=f"A lawyer {number}"), "en", audience="public")
        found = await rows(instance, "select post.published, post.id from post join listing on listing.post_id = post.id")
    assert len(found) == 12
    assert [row["published"] % 3_600_000 for row in found] == [0] * 12


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1_700_000_000_000, 2_000_000_000_000),
    st.one_of(st.none(), st.tuples(st.integers(0, 72 * 3600), st.integers(0, 72 * 3600))),
    st.sampled_from(["request", "offer"]),
    st.sampled_from(["now", "days", "hours"]),
    st.sampled_from(["public", "peers", "local"]),
    st.booleans(),
)
def test_nothing_is_published_before_its_delay_nor_between_two_hours_if_its_times_are_coarse(
    now: int, delay: tuple[int, int] | None, purpose: Any, urgency: Any, audience: Any, one_time: bool
) -> None:
    delay = None if delay is None else (min(delay), max(delay))
    proposal = replace(REQUEST, purpose=purpose, urgency=None if urgency == "now" else urgency)
    draft = Draft(proposal, "en", audience, delay=delay, one_time=one_time)
    real = SimpleNamespace(config=SimpleNamespace(development=None))
    at = publish._moment(real, draft, now)  # type: ignore[arg-type]  # all that is asked of it
    shown = publish.HIDDEN if delay is None and one_time and audience != "local" and urgency != "hours" else delay
    waits = shown is not None if delay is None else delay != (0, 0)
    low, high = shown if waits and shown is not None else (0, 0)
    coarse = one_time or purpose == "request"
    assert now + low * 1000 <= at
    if not coarse:
        assert at <= now + high * 1000
    else:
        assert at % 3_600_000 == 0 or at == now
    if coarse and waits:
        # The hour after what was drawn
        assert at % 3_600_000 == 0
        assert at < now + high * 1000 + 3_600_000
