"""Rows F1-F20 of protocol.md section 10: origin and spoofing. Every letter here is rightly signed by somebody who may not say what it says."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from actors.hosts import Limits
from tests.attacks.stage import Stage, changes, set_up
from tests.fakepeer import AP, AS2, PUBLIC, pair
from tests.signing import pem
from tests.wire import reply_json
from tests.world import open_world

pytestmark = pytest.mark.asyncio(loop_scope="module")
REFUSED = {202, 400, 401, 403}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_world(tmp_path_factory.mktemp("origin")) as world, set_up(world) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def stage(opened: Stage) -> AsyncIterator[Stage]:
    """The stage; nothing on it may be different afterwards, but that strangers may be known."""
    opened.site.instance.limits = Limits()
    before = await opened.state()
    yield opened
    await opened.settle()
    assert changes(before, await opened.state(), kept=True, met=True) == {}
    assert opened.alarm.strayed() == []


async def played(stage: Stage, activity: dict[str, Any], by: Any = None) -> None:
    """Sends it; it is refused, or dropped."""
    assert (await stage.send(activity, by or stage.mallory)).status in REFUSED
    await stage.settle()


def serve(stage: Stage, document: dict[str, Any], path: str | None = None, **more: Any) -> str:
    """Puts a document on the peer, at a path of its own; gives its address."""
    stage.fresh += 1
    where = path or f"/f{stage.fresh}"
    stage.peer.always(where, reply_json({"@context": AS2, **document}, **more))
    return f"{stage.peer.base}{where}"


def note(stage: Stage, uri: str, **members: Any) -> dict[str, Any]:
    return {
        "id": uri, "type": "Note", "attributedTo": stage.p1.id, "content": "<p>x</p>", "to": [PUBLIC], "published": "2026-01-01T00:00:00Z", **members,
    }  # fmt: skip


async def boosted(stage: Stage, url: str) -> None:
    """Makes the instance fetch it."""
    assert (await stage.send(stage.p1.activity("Announce", url, to=[PUBLIC]))).status == 202
    await stage.settle()


async def test_f1_an_object_on_another_host_is_not_stored(stage: Stage) -> None:
    create = stage.create(stage.mallory)
    create["object"]["id"] = f"{stage.elsewhere.base}/notes/1"
    await played(stage, create)


@pytest.mark.parametrize("author", ["victim", "other"])
async def test_f2_an_object_of_somebody_else_is_not_stored(stage: Stage, author: str) -> None:
    create = stage.create(stage.mallory)
    create["object"]["attributedTo"] = getattr(stage, author).id
    await played(stage, create)


async def test_f3_an_activity_with_an_id_on_another_host_is_not_processed(stage: Stage) -> None:
    await played(stage, {**stage.create(stage.mallory), "id": f"{stage.elsewhere.base}/activities/1"})


@pytest.mark.parametrize("by", ["mallory", "other"])
async def test_f4_an_activity_of_somebody_else_is_not_processed(stage: Stage, by: str) -> None:
    await played(stage, stage.create(stage.victim), getattr(stage, by))


@pytest.mark.parametrize("claim", ["author", "object", "activity", "actor"])
async def test_f5_nobody_else_speaks_from_our_host(stage: Stage, claim: str) -> None:
    create = stage.create(stage.mallory)
    match claim:
        case "author":
            create["object"]["attributedTo"] = stage.reader.uri
        case "object":
            create["object"]["id"] = f"{stage.site.base}/posts/77"
        case "activity":
            create["id"] = f"{stage.site.base}/activities/77"
        case "actor":
            create["actor"] = stage.reader.uri
    await played(stage, create)


async def test_f6_what_is_fetched_and_names_another_host_is_discarded(stage: Stage) -> None:
    for author in (stage.other, stage.p1):
        url = serve(stage, note(stage, f"{stage.elsewhere.base}/notes/9", attributedTo=author.id))
        await boosted(stage, url)


async def test_f7_another_id_on_the_same_host_is_read_there_and_must_agree(stage: Stage) -> None:
    stage.fresh += 1
    third, second = f"/f7c{stage.fresh}", f"/f7b{stage.fresh}"
    serve(stage, note(stage, f"{stage.peer.base}{third}"), second)
    url = serve(stage, note(stage, f"{stage.peer.base}{second}"))
    asked = len(stage.peer.log)
    await boosted(stage, url)
    # The second look must agree with itself; a third is not taken.
    assert len(stage.peer.log) - asked == 2


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/ld+json", "image/png", "text/html", f"{AP}; charset=utf-16"])
async def test_f8_a_document_under_another_media_type_is_discarded(stage: Stage, content_type: str) -> None:
    stage.fresh += 1
    path = f"/f8-{stage.fresh}"
    await boosted(stage, serve(stage, note(stage, f"{stage.peer.base}{path}"), path, content_type=content_type))


@pytest.mark.parametrize("member", ["inbox", "outbox", "followers", "following"])
async def test_f9_an_actor_with_something_of_its_own_elsewhere_is_refused(stage: Stage, member: str) -> None:
    stranger = stage.stranger()
    stranger.overrides[member] = f"{stage.elsewhere.base}/{member}"
    assert (await stage.send(stranger.follow(stage.reader.uri), stranger)).status == 401
    assert await stage.site.count("actor", "uri = :uri", uri=stranger.id) == 0


async def test_f10_a_shared_inbox_elsewhere_is_ignored(opened: Stage) -> None:
    stranger = opened.stranger(endpoints={"sharedInbox": f"{opened.elsewhere.base}/inbox"})
    asked = len(opened.elsewhere.log)
    assert (await opened.send(stranger.follow(opened.friend.uri), stranger)).status == 202
    await opened.settle()
    await opened.friend.post("for followers of friend")
    await opened.settle()
    assert len(opened.elsewhere.log) == asked
    assert opened.peer.activities("Create", f"/users/{stranger.name}/inbox")
    assert (await opened.send(stranger.activity("Undo", {"type": "Follow", "actor": stranger.id, "object": opened.friend.uri}), stranger)).status == 202
    await opened.settle()


@pytest.mark.parametrize("by", ["mallory", "other"])
async def test_f11_nobody_edits_the_post_of_another(stage: Stage, by: str) -> None:
    author = getattr(stage, by)
    for owner in (stage.victim, author):
        changed = {**stage.note, "attributedTo": owner.id, "content": "<p>false words</p>", "updated": "2036-01-01T00:00:00Z"}
        await played(stage, author.activity("Update", changed, to=[PUBLIC]), author)


@pytest.mark.parametrize("by", ["mallory", "other"])
@pytest.mark.parametrize("form", ["id", "object", "Tombstone"])
async def test_f12_nobody_deletes_the_post_of_another(stage: Stage, by: str, form: str) -> None:
    author = getattr(stage, by)
    gone: Any = {"id": stage.note["id"], "object": stage.note, "Tombstone": {"id": stage.note["id"], "type": "Tombstone"}}
    await played(stage, author.activity("Delete", gone["id"] if form == "id" else gone[form], to=[PUBLIC]), author)


@pytest.mark.parametrize("by", ["mallory", "other"])
@pytest.mark.parametrize("form", ["embedded", "by id", "as mallory's own"])
async def test_f13_nobody_takes_back_the_follow_of_another(stage: Stage, by: str, form: str) -> None:
    author = getattr(stage, by)
    [row] = await stage.site.rows("select follow.uri from follow join actor on actor.id = follow.follower_id where actor.uri = :uri", uri=stage.victim.id)
    follow = {"id": row["uri"], "type": "Follow", "actor": stage.victim.id, "object": stage.reader.uri}
    undone: Any = {"embedded": follow, "by id": row["uri"], "as mallory's own": {**follow, "actor": author.id, "object": stage.victim.id}}[form]
    await played(stage, author.activity("Undo", undone), author)


@pytest.mark.parametrize("kind", ["Accept", "Reject"])
@pytest.mark.parametrize("by", ["mallory", "other"])
async def test_f14_only_the_followed_answers_a_follow(stage: Stage, kind: str, by: str) -> None:
    author = getattr(stage, by)
    [follow] = [one for one in stage.peer.activities("Follow") if one["object"] == stage.victim.id]
    for answered in (follow, follow["id"], [follow]):
        await played(stage, author.activity(kind, answered), author)


async def test_f15_a_boost_shows_what_its_origin_shows(opened: Stage) -> None:
    uri = serve(opened, {})
    path = uri.removeprefix(opened.peer.base)
    serve(opened, note(opened, uri, attributedTo=opened.victim.id, content="<p>as it was said</p>"), path)
    altered = {**note(opened, uri, attributedTo=opened.victim.id), "content": "<p>as it was not</p>"}
    assert (await opened.send(opened.p1.activity("Announce", altered, to=[PUBLIC]))).status == 202
    await opened.settle()
    rows = await opened.site.rows("select content from post where uri = :uri", uri=uri)
    assert [row["content"] for row in rows] == ["<p>as it was said</p>"]


async def test_f16_nobody_pins_the_post_of_another(stage: Stage) -> None:
    for target in (f"{stage.mallory.id}/collections/featured", f"{stage.victim.id}/collections/featured"):
        for kind in ("Add", "Remove"):
            await played(stage, stage.mallory.activity(kind, stage.note["id"], target=target))


async def test_f17_nobody_moves_another_and_nobody_without_a_link_back(stage: Stage) -> None:
    moves = (
        (stage.mallory, stage.victim.id, stage.mallory.id),
        (stage.other, stage.victim.id, stage.other.id),
        (stage.victim, stage.victim.id, stage.other.id),
    )
    for by, who, target in moves:
        await played(stage, by.activity("Move", who, target=target, to=[PUBLIC]), by)
    assert await stage.reader.following(stage.victim.handle) == "accepted"


@pytest.mark.parametrize(
    "spelling",
    [
        "http://LOCALHOST:{port}",
        "http://localhost.:{port}",
        "http://{ours}@localhost:{port}",
        "http://localhost:0{port}",
        "http://l\u043ecalhost:{port}",
        "HTTP://localhost:{port}",
    ],
)
async def test_f18_spellings_of_a_host_confuse_nobody(stage: Stage, spelling: str) -> None:
    base = spelling.format(port=stage.peer.port, ours=stage.site.host)
    create = json.loads(json.dumps(stage.create(stage.mallory)).replace(stage.peer.base, base))
    # The activity, its actor and its object are of that spelling; the key is mallory's own. None of it becomes a post of somebody new.
    assert (await stage.send(create, stage.mallory)).status in REFUSED
    create = stage.create(stage.mallory)
    create["object"]["id"] = create["object"]["id"].replace(stage.peer.base, base)
    create["object"]["attributedTo"] = stage.victim.id.replace(stage.peer.base, base)
    assert (await stage.send(create, stage.mallory)).status in REFUSED


async def test_f19_stamps_for_quotes_make_nothing_ours(stage: Stage) -> None:
    """This version shows no quotes; a stamp, from whomever, changes nothing."""
    for by in (stage.mallory, stage.other, stage.victim):
        stamp = {
            "id": f"{by.peer.base}/stamps/1",
            "type": "QuoteAuthorization",
            "attributedTo": by.id,
            "interactingObject": stage.said.uri,
            "interactionTarget": stage.note["id"],
        }
        await played(
            stage,
            by.activity("Accept", {"type": "QuoteRequest", "actor": stage.reader.uri, "object": stage.note["id"], "instrument": stage.said.uri}, result=stamp),
            by,
        )
        await played(stage, by.activity("Create", stamp, to=[PUBLIC]), by)


async def test_f20_what_is_too_much_is_refused_and_costs_little(stage: Stage) -> None:
    create = stage.create(stage.mallory)
    bombs = {
        413: json.dumps({**create, "x": "x" * 1_050_000}).encode(),
        400: b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    }
    for status, body in bombs.items():
        began = time.process_time()
        assert (await stage.send(body, stage.mallory)).status == status
        assert time.process_time() - began < 1
    mentions = [{"type": "Mention", "href": f"http://n{number}.example/u"} for number in range(15_000)]
    for tags in (mentions, [{}] * 100_000, ["#a"] * 100_000):
        began = time.process_time()
        assert (await stage.send({**create, "object": {**create["object"], "tag": tags}}, stage.mallory)).status in {400, 413}
        assert time.process_time() - began < 2


async def test_keys_listed_by_another_origin_open_nothing(stage: Stage) -> None:
    """FEP-fe34: a key document whose owner lives elsewhere, even one that lists it."""
    stranger = stage.stranger(stage.elsewhere)
    path = f"/keys/{stranger.name}"
    key_id = f"{stage.peer.base}{path}"
    stage.peer.always(path, reply_json({"@context": AS2, "id": key_id, "owner": stranger.id, "publicKeyPem": pem(pair("stranger").rsa)}))
    stranger.overrides["publicKey"] = {"id": key_id, "owner": stranger.id, "publicKeyPem": pem(pair("stranger").rsa)}
    assert (await stage.send(stage.create(stranger), stranger, key_id=key_id)).status == 401
