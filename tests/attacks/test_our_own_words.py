"""May anybody bring us what we said ourselves? What carries a proof of ours can be carried by everybody, and is heard from nobody but us (row A015)."""

from pathlib import Path

import pytest

from inbox import gate, verify
from inbox.errors import Unsigned
from schemas import documents
from tests.wire import Answer
from tests.world import open_world


async def test_what_we_proved_and_took_back_does_not_come_back_through_the_door(tmp_path: Path) -> None:
    async with open_world(tmp_path / "world") as world:
        # Given an offer of ours, which carries a proof, at a server that follows its author
        author = await world.person("author@a")
        site = author.site
        peer = await world.peer()
        follower = peer.actor("follower")
        assert (await follower.send(follower.follow(author.uri), f"{author.uri}/inbox")).status == 202
        await world.settle()
        made = await author.listing("offer", "Rat", "Ich berate.", language="de")
        await world.settle()
        (said,) = peer.activities("Create")
        assert said["proof"]
        rows = await site.rows("select state, text, title from listing")
        # When it brings that to us, as it is, signed by itself; and again when it is taken back
        answers: list[Answer] = [await follower.send(said, f"{site.base}/inbox")]
        await author.withdraw(made)
        await world.settle()
        answers.append(await follower.send(said, f"{site.base}/inbox"))
        answers.append(await follower.send({**said, "id": f"{said['id']}2"}, f"{site.base}/inbox"))
        await world.settle()
        # Then nobody heard it: what is ours comes from us
        assert [answer.status for answer in answers] == [401, 401, 401]
        assert len(rows) == 1
        assert await site.count("post", "uri = :uri", uri=made.url) == 0
        assert await site.count("arrival", "uri like :uri", uri=f"{site.base}/%") == 0


async def test_an_actor_of_ours_is_refused_before_its_signature_is_looked_at(tmp_path: Path) -> None:
    async with open_world(tmp_path / "world") as world:
        site = await world.site("a")
        for host in (site.host, site.host.upper(), site.host.replace(":", ".:")):
            document = {"id": f"http://{host}/x", "type": "Like", "actor": f"http://{host}/users/amina", "object": "https://else.example/1"}
            with pytest.raises(Unsigned, match="one of ours"):
                verify.own_origin(site.instance, gate.claim(gate.read(documents.dumps(document), 9999)), document)
