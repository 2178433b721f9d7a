"""To which inboxes does it go?"""

from dataclasses import replace
from pathlib import Path

import pytest

from actors import follows, peers
from actors.known import Actor
from outbox.address import Audience, inboxes
from schemas.activities import Accept, Follow
from schemas.config import FederationConfig
from schemas.reading import Iri
from tests.house import House, build, configure, describe, store


@pytest.fixture
async def house(database, tmp_path: Path) -> House:
    return await build(database, configure(tmp_path))


async def following(house: House, followed: Actor, name: str, host: str = "theirs.example") -> Actor:
    follower = await house.stranger(name, host)
    asked = Follow(id=Iri(f"{follower.uri}/follows/1"), actor=follower.uri, object=followed.uri)
    assert isinstance(await house.write(follows.received, house.instance, asked, follower, followed), Accept)
    return follower


async def urls(house: House, audience: Audience, *, fold: bool = True) -> list[str]:
    found = await house.write(inboxes, house.instance, audience, fold=fold)
    assert len({inbox.url for inbox in found}) == len(found)
    return [inbox.url for inbox in found]


async def test_three_followers_of_one_server_are_one_shared_inbox(house: House) -> None:
    amina = await house.person("amina")
    for name in ("bo", "cy", "di"):
        await following(house, amina, name)
    assert await urls(house, Audience(followers_of=(amina.id,))) == ["https://theirs.example/inbox"]


async def test_without_a_shared_inbox_there_are_three(house: House) -> None:
    amina = await house.person("amina")
    for name in ("bo", "cy", "di"):
        follower = await house.write(store, house.instance, replace(describe(name), shared_inbox=None))
        asked = Follow(id=Iri(f"{follower.uri}/follows/1"), actor=follower.uri, object=amina.uri)
        await house.write(follows.received, house.instance, asked, follower, amina)
    assert sorted(await urls(house, Audience(followers_of=(amina.id,)))) == [f"https://theirs.example/users/{name}/inbox" for name in ("bo", "cy", "di")]


async def test_what_is_for_named_people_goes_to_their_own_inboxes(house: House) -> None:
    bo, cy = await house.stranger("bo"), await house.stranger("cy")
    audience = Audience(actors=(bo.id, cy.id, bo.id))
    assert await urls(house, audience, fold=False) == [bo.inbox, cy.inbox]
    assert await urls(house, audience) == ["https://theirs.example/inbox"]


async def test_named_actors_come_before_followers(house: House) -> None:
    amina = await house.person("amina")
    await following(house, amina, "zoe", "a.example")
    bo = await house.stranger("bo", "z.example")
    assert await urls(house, Audience((bo.id,), (amina.id,))) == ["https://z.example/inbox", "https://a.example/inbox"]


async def test_our_own_people_and_whoever_is_gone_get_no_http(house: House) -> None:
    amina, bilal = await house.person("amina"), await house.person("bilal")
    await house.write(follows.request, house.instance, bilal, amina)
    gone = await following(house, amina, "gone")

    async def bury(tx) -> None:
        await tx.execute("update actor set state = 'gone' where id = :id", id=gone.id)

    await house.write(bury)
    everybody = Audience((bilal.id, gone.id, 12345), (amina.id,), (bilal.inbox, Iri("https://OURS.example:443/inbox")))
    assert await urls(house, everybody) == []


async def test_who_asked_and_was_not_accepted_gets_nothing(house: House) -> None:
    amina = await house.person("amina", locked=True)
    bo = await house.stranger("bo")
    asked = Follow(id=Iri(f"{bo.uri}/follows/1"), actor=bo.uri, object=amina.uri)
    assert await house.write(follows.received, house.instance, asked, bo, amina) is None
    assert await urls(house, Audience(followers_of=(amina.id,))) == []


async def test_a_blocked_host_and_its_sub_domains_are_left_out(house: House) -> None:
    amina = await house.person("amina")
    await following(house, amina, "bo", "bad.example")
    await following(house, amina, "cy", "deep.bad.example")
    await following(house, amina, "di", "good.example")
    await house.write(peers.set_level, house.instance, "bad.example", "blocked", "spies")
    await house.instance.trust.refresh(house.instance.database)
    audience = Audience(followers_of=(amina.id,), inboxes=(Iri("https://BAD.example./inbox"),))
    assert await urls(house, audience) == ["https://good.example/inbox"]


async def test_with_an_allow_list_only_listed_hosts_remain(database, tmp_path: Path) -> None:
    house = await build(database, configure(tmp_path, federation=FederationConfig(mode="allowlist")))
    bo, cy = await house.stranger("bo", "friends.example"), await house.stranger("cy", "unknown.example")
    await house.write(peers.set_level, house.instance, "friends.example", "trusted")
    await house.instance.trust.refresh(house.instance.database)
    assert await urls(house, Audience((bo.id, cy.id))) == ["https://friends.example/inbox"]


async def test_inboxes_named_outright_get_a_host_row_and_rubbish_gets_none(house: House) -> None:
    found = await house.write(
        inboxes, house.instance, Audience(inboxes=(Iri("https://new.example/inbox"), Iri("rubbish"), Iri("https://u:p@new.example/x"))), fold=True
    )
    assert [inbox.url for inbox in found] == ["https://new.example/inbox"]

    async def name(tx) -> str:
        return (await tx.one("select name from host where id = :id", id=found[0].host_id))["name"]

    assert await house.read(name) == "new.example"
