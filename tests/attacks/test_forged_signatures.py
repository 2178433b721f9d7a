"""Who may knock? The inbox opens for the right signature, stays shut for every forged one, and survives rubbish in its place."""

import json

from tests.fakepeer import FakeActor, FakePeer, pair
from tests.signing import BROKEN, pem, signed
from tests.wire import http, reply_json
from tests.world import World


async def test_the_door_opens_for_a_right_signature(world: World, peer: FakePeer) -> None:
    reader, p1 = await world.person("reader@a"), peer.actor("p1")
    for mode, key in (("cavage", "rsa"), ("hs2019", "rsa"), ("rfc9421", "rsa"), ("rfc9421", "ed25519")):
        note = p1.direct(f"<p>{mode} {key}</p>", reader.uri, f"@{reader.handle}")
        assert (await p1.send(p1.create(note), reader.actor.inbox, mode, key=key)).status == 202, (mode, key)
    await world.settle()
    assert sorted(entry["text"] for entry in await reader.home()) == ["cavage rsa", "hs2019 rsa", "rfc9421 ed25519", "rfc9421 rsa"]


async def test_the_door_stays_shut_for_a_forged_one_and_without_any(world: World, peer: FakePeer) -> None:
    reader, p1 = await world.person("reader@a"), peer.actor("p1")
    # What cannot be read may be called malformed, and another host's name is misdirected before it is anything else.
    softer = {"broken:garbage": {400, 401}, "broken:twice": {400, 401}, "broken:empty": {400, 401}, "broken:host": {401, 421}}
    for mode in ("none", *(f"broken:{kind}" for kind in BROKEN)):
        create = p1.create(p1.direct("<p>forged</p>", reader.uri, f"@{reader.handle}"))
        answer = await p1.send(create, reader.actor.inbox, mode)
        assert answer.status in softer.get(mode, {401}), mode
        assert await reader.site.count("arrival") == 0, mode
    await world.settle()
    assert await reader.site.count("post") == 0


RUBBISH = ["", "x", '"', "=", "keyId=", 'keyId=""', 'keyId="x"', ",,,,", "\x7f\x80\xff", 'signature="AAAA"']
RUBBISH += ['keyId="' + "x" * 8000 + '"', ",".join(f'a{n}="b"' for n in range(2000))]


async def test_the_door_survives_rubbish_for_a_signature(world: World) -> None:
    reader = await world.person("reader@a")
    for header in RUBBISH:
        answer = await http("POST", reader.actor.inbox, [("Signature", header), ("Content-Type", "application/activity+json")], b'{"type": "Follow"}')
        assert 400 <= answer.status < 500, header[:40]
    assert await reader.site.count("arrival") == 0


KEY_IDS = ("acct:p1@PEER", "javascript:alert(1)", "data:text/plain,x", "/users/p1#main-key", "http://PEER@OURS/users/p1#main-key")
KEY_IDS += ("OWN", "http://127.0.0.1:1/x#y", "http://[::1/x")


async def test_a_key_id_that_is_no_address_of_a_key_opens_nothing(world: World, peer: FakePeer) -> None:
    reader, p1 = await world.person("reader@a"), peer.actor("p1")
    for key_id in KEY_IDS:
        forged = key_id.replace("PEER", peer.host).replace("OURS", reader.site.host).replace("OWN", f"{reader.uri}#main-key")
        p1.overrides["publicKey"] = {"id": forged, "owner": p1.id, "publicKeyPem": pem(p1.keys.rsa)}
        asked = len(peer.log)

        class Forger(FakeActor):
            key_id = property(lambda self, forged=forged: forged)  # type: ignore[assignment]  # a forger chooses

        answer = await Forger(peer, "p1").send(p1.create(p1.direct("<p>x</p>", reader.uri, "@r")), reader.actor.inbox)
        assert answer.status in {400, 401, 403, 503}, key_id
        assert len(peer.log) - asked <= 2, key_id
    await world.settle()
    assert await reader.site.count("post") == 0


async def test_a_signature_by_somebody_else_of_the_same_server_is_not_the_actors(world: World, peer: FakePeer) -> None:
    reader, victim, mallory = await world.person("reader@a"), peer.actor("victim"), peer.actor("mallory")
    create = victim.create(victim.direct("<p>never said</p>", reader.uri, f"@{reader.handle}"))
    peer.documents.clear()
    answer = await mallory.send(create, reader.actor.inbox)
    await world.settle()
    assert answer.status in {202, 401, 403}
    assert await reader.site.count("post") == 0


async def test_a_key_that_its_owner_does_not_list_opens_nothing(world: World, peer: FakePeer) -> None:
    reader, p1 = await world.person("reader@a"), peer.actor("p1")
    p1.overrides["publicKey"] = p1.document()["publicKey"] | {"owner": f"{peer.base}/users/other"}
    answer = await p1.send(p1.create(p1.direct("<p>x</p>", reader.uri, "@r")), reader.actor.inbox)
    await world.settle()
    assert answer.status == 401
    assert await reader.site.count("post") == 0


async def test_a_new_key_is_fetched_once_and_a_wrong_one_is_not_fetched_again_and_again(world: World, peer: FakePeer) -> None:
    reader, p1 = await world.person("reader@a"), peer.actor("p1")
    assert (await p1.send(p1.follow(reader.uri), reader.actor.inbox)).status == 202
    await world.settle()
    # When it changed its key
    p1.keys = pair("a second pair")
    world.clock.move(minutes=10)
    asked = len(peer.asked("/users/p1"))
    answer = await p1.send(p1.create(p1.direct("<p>new key</p>", reader.uri, f"@{reader.handle}")), reader.actor.inbox)
    await world.settle()
    assert answer.status == 202
    assert len(peer.asked("/users/p1")) - asked == 1
    # When somebody signs with a wrong one, often
    for _ in range(5):
        assert (await p1.send(p1.follow(reader.uri), reader.actor.inbox, "broken:stranger")).status == 401
    assert len(peer.asked("/users/p1")) - asked <= 2


async def test_a_server_that_cannot_be_asked_for_its_key_is_told_to_come_again(world: World, peer: FakePeer) -> None:
    reader, p1 = await world.person("reader@a"), peer.actor("p1")
    peer.always("/users/p1", reply_json({}, 503))
    answer = await p1.send(p1.follow(reader.uri), reader.actor.inbox)
    assert answer.status in {401, 503}
    assert answer.status == 401 or answer.header("retry-after")


async def test_a_replay_to_another_inbox_or_again_has_no_second_effect(world: World, peer: FakePeer) -> None:
    reader, other, p1 = await world.person("reader@a"), await world.person("other@b"), peer.actor("p1")
    create = p1.create(p1.direct("<p>once</p>", reader.uri, f"@{reader.handle}"))
    await p1.send(create, reader.actor.inbox, repeat=3)
    await world.settle()
    assert await reader.site.count("post") == 1
    # The same bytes, signed for another host, sent there: it is not addressed to anybody there
    body = json.dumps(create, ensure_ascii=False).encode()
    headers = signed(p1.keys.rsa, p1.key_id, "POST", reader.site.host, "/users/reader/inbox", body, world.clock.now())
    replayed = await http("POST", other.actor.inbox, headers, body)
    assert replayed.status in {400, 401, 404, 421}
    assert await other.site.count("post") == 0


async def test_deletes_of_actors_nobody_knows_cost_nothing(world: World, peer: FakePeer) -> None:
    reader, gone = await world.person("reader@a"), peer.actor("gone")
    peer.actors.pop("gone")
    asked = len(peer.log)
    delete = gone.activity("Delete", gone.id)
    assert (await gone.send(delete, f"{reader.site.base}/inbox")).status == 202
    assert (await gone.send(delete, f"{reader.site.base}/inbox", "none")).status == 401
    await world.settle()
    assert len(peer.log) == asked
    assert await reader.site.count("arrival") == 0
