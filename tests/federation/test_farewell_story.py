"""What hears a server that is trusted no more of what it holds? Sealed to the key that was pinned, or nothing until somebody knows who it is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fedmatch.board import identities, listings, publish
from fedmatch.board.listings import Listing
from fedmatch.board.terms import Floor, Terms
from fedmatch.safety import border, peering
from schemas.storage import Transaction
from tests.friends import befriend, partner
from tests.houses import REQUEST
from tests.knowledge import Knowledge
from tests.world import Person, Site, World, open_world

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as made:
        yield made


async def shared(world: World, patch: pytest.MonkeyPatch) -> tuple[Person, Site, Listing, Knowledge]:
    """A request of a one-time identity at `a` that the trusted peer `b` holds; everything that leaves `a` is written down."""
    amina, b = await world.person("amina@a"), await world.site("b")
    await befriend(world, amina.site, b)
    known = Knowledge(world, patch)
    known.watch(amina.site)
    instance = amina.site.instance
    speaker = await identities.make(instance, amina.actor)
    made = await publish.listing(instance, speaker, REQUEST, "en", audience="network", terms=Terms(readers=Floor(0)), one_time=True)
    await world.settle()
    assert await held(b) == [made.url]
    known.sent["a"].clear()
    return amina, b, made, known


async def held(site: Site) -> list[str]:
    """The ids of the requests from elsewhere that lie there."""
    return [row["uri"] for row in await site.rows("select post.uri from listing join post on post.id = listing.post_id where post.local = 0")]


def names(known: Knowledge, host: str, made: Listing) -> list[bytes]:
    """The bodies to a host that name a listing, its number, or whoever wrote it."""
    telling = [one.encode() for one in (made.url, str(made.id), made.author.partition("@")[0])]
    return [body for body in known.bodies_to(host) if any(one in body for one in telling)]


@pytest.mark.parametrize("meanwhile", ["nothing", "withdrawn"])
async def test_whoever_took_the_name_hears_no_name_of_ours(world: World, monkeypatch: pytest.MonkeyPatch, meanwhile: str) -> None:
    # Given a peer that holds a request, and another machine behind its name
    amina, b, made, known = await shared(world, monkeypatch)
    a = amina.site
    await b.stop()
    seized = await world.site("seized", port=int(b.host.rpartition(":")[2]))  # type: ignore[arg-type]  # a number goes through
    # When that is noticed, the trust is lost and the copy taken back
    await world.later(hours=25)
    assert not (await partner(a, b)).trusted
    await world.later(hours=2)
    if meanwhile == "withdrawn":
        await publish.withdraw(a.instance, made)
        a.instance.wake("delivery")
        await world.settle()
    await world.later(hours=30)
    # Then nothing that went there says which request it was, nor whose
    assert known.bodies_to(b.host), "it was told that the trust is over"
    assert names(known, b.host, made) == []
    assert world.grep(made.url).keys() <= {"a", "b"}
    assert await seized.count("actor", "username = :name", name=made.author.partition("@")[0]) == 0
    # When the name is theirs again, and both admins read the words
    await seized.stop()
    await b.start()
    for one, other in ((a, b), (b, a)):
        await peering.trust(one.instance, await peering.words(one.instance, other.host))
    await world.settle()
    await world.later(hours=1)
    # Then they hold what is open, and not what was withdrawn
    assert await held(b) == ([] if meanwhile == "withdrawn" else [made.url])
    assert names(known, b.host, made) == [], "and all of it came sealed"


@pytest.mark.parametrize("how", ["limited", "known", "removed"])
async def test_whom_an_admin_lets_go_is_asked_sealed(world: World, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    amina, b, made, known = await shared(world, monkeypatch)
    a = amina.site
    if how == "removed":
        await border.forget(a.instance, border.Host(b.host), None)
    else:
        await border.decide(a.instance, border.Host(b.host), how)  # type: ignore[arg-type]  # a level
    await world.settle()
    assert await held(b) == [], "it deleted what it held"
    assert names(known, b.host, made) == []


async def test_a_name_taken_before_an_admin_lets_it_go_reads_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    amina, b, made, known = await shared(world, monkeypatch)
    await b.stop()
    seized = await world.site("seized", port=int(b.host.rpartition(":")[2]))  # type: ignore[arg-type]  # a number goes through
    await border.decide(amina.site.instance, border.Host(b.host), "limited")
    await world.settle()
    assert await seized.count("arrival") > 0
    assert names(known, b.host, made) == []
    assert not {"seized"} & world.grep(made.url).keys()


async def test_it_waits_for_the_vault_as_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    amina, b, made, _ = await shared(world, monkeypatch)
    a = amina.site
    await a.stop()
    await a.start(worker=False)
    await border.decide(a.instance, border.Host(b.host), "known")

    async def waiting(tx: Transaction) -> bytes:
        rows = await tx.all("select job.payload from job where job.kind = 'unshare'")
        return b"".join(bytes(row["payload"]) for row in rows)

    payload = await a.instance.database.read(waiting)
    assert b"x25519" in payload, "what waits on the disk is the public half of a key of theirs"
    assert made.url.encode() not in payload
    a.work()
    await world.settle()
    assert await held(b) == []


async def test_what_changed_meanwhile_comes_when_the_trust_is_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    amina, b, made, _ = await shared(world, monkeypatch)
    a = amina.site
    await b.stop()
    seized = await world.site("seized", port=int(b.host.rpartition(":")[2]))  # type: ignore[arg-type]  # a number goes through
    await world.later(hours=25)
    changed = await amina.change(made, title="Later")
    await world.later(hours=2)
    await seized.stop()
    await b.start()
    for one, other in ((a, b), (b, a)):
        await peering.trust(one.instance, await peering.words(one.instance, other.host))
    await world.settle()
    await world.later(hours=2)
    found = await b.instance.database.read(listings.find, b.instance, changed.url)
    assert found is not None
    assert found.title == "Later"
