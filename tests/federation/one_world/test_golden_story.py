"""One document of everything that each server sends, through the real door: each does what it means, and with rubbish in any member nothing breaks."""

import json
import random
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from actors.hosts import Limits
from fedmatch.safety import reports
from inbox.errors import InboxError
from inbox.gate import claim
from schemas import foreign
from schemas.activities import Announce, Create, Delete, EmojiReact, Flag, Like, Move, parse, parse_actor
from schemas.objects import ActorDocument, Note
from schemas.reading import Unreadable
from tests.fakepeer import AS2, FakeActor, FakePeer, pair
from tests.signing import pem
from tests.world import Person

pytestmark = pytest.mark.asyncio(loop_scope="module")
DOCUMENTS = Path(__file__).resolve().parents[2] / "interop" / "documents"
RADIO, POST = "https://fedmatch.example/users/radio", "https://fedmatch.example/posts/7"
FOLLOW = "https://fedmatch.example/activities/31"
Document = dict[str, Any]

SENDS: dict[str, str] = {
    "mastodon": "actor note question announce delete move flag", "gotosocial": "actor note question announce delete move flag",
    "misskey": "actor note question announce delete move emoji flag", "lemmy": "actor note announce delete flag",
    "pleroma": "actor note question announce delete move emoji flag", "akkoma": "actor note announce delete move emoji flag",
    "takahe": "actor note question announce delete flag", "snac": "actor note question announce delete move emoji",
    "hollo": "actor note question announce delete move emoji flag", "fedify": "actor note announce delete move emoji flag",
    "peertube": "actor note announce delete flag", "pixelfed": "actor note announce delete move flag", "wordpress": "actor note announce delete move",
    "bookwyrm": "actor note announce delete move flag",
}  # fmt: skip
"""What there is a document of: all that the server has."""


def load(server: str) -> dict[str, Document]:
    return {file.stem.partition("-")[2]: json.loads(file.read_text(encoding="utf-8")) for file in sorted((DOCUMENTS / server).glob("*.json"))}


def facts(document: Document) -> tuple[str, ...]:
    """What a document is, and the one thing about it that must not be misread."""
    found = parse(document) if "actor" in document and document["type"] != "Person" else parse_actor(document)
    match found:
        case ActorDocument():
            return ("actor", found.id)
        case Create(object=Note(kind="Question", poll=poll)):
            return ("question", *((option.name for option in poll.options) if poll else ()))
        case Create(object=Note() as note):
            return ("note", note.attributed_to)
        case Announce():
            return ("announce", found.object)
        case Delete(object=thing):
            return ("delete", thing.id)
        case Move():
            return ("move", found.object, found.target)
        case EmojiReact() | Like(emoji=object()):
            return ("emoji", found.object)
        case Flag():
            return ("flag", *found.objects)
        case _:
            return (type(found).__name__.lower(),)


@pytest.mark.parametrize("server", SENDS)
async def test_there_is_one_of_each_and_it_is_read_right(server: str) -> None:
    documents = load(server)
    read = [facts(document) for name, document in documents.items() if "stub" not in name]
    by_kind = {one[0]: one[1:] for one in read}
    assert set(SENDS[server].split()) <= set(by_kind), server
    actor = documents["actor"]["id"]
    assert by_kind["actor"] == (actor,) or server in ("lemmy", "peertube")
    assert all(len(one) == 3 for one in read if one[0] == "question")
    for kind, told in (("flag", (POST,) if server == "lemmy" else (RADIO, POST)), ("emoji", (POST,))):
        assert by_kind.get(kind, told)[: len(told)] == told
    if "move" in by_kind:
        assert by_kind["move"][0] != by_kind["move"][1]


RUBBISH: tuple[Any, ...] = (
    None, 0, -1, 1e308, True, "", "x", "\u202e" * 50, "javascript:alert(1)", "https://[", [], [[]], [None], {}, {"id": 5}, {"@value": []}, {"type": [[]]},
    {"@id": {"@id": "x"}}, [{"href": 7}], ["https://a.example/" + "a" * 5000], {"en": 5},
)  # fmt: skip


def spoiled(document: Document) -> list[Document]:
    """The document with rubbish in each of its members in turn, and in each member of what it holds."""
    found = []
    for name, value in document.items():
        found += [{**document, name: rubbish} for rubbish in RUBBISH]
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict) and name != "@context":
            for member in inner:
                spoils: list[Any] = [{**inner, member: rubbish} for rubbish in RUBBISH]
                found += [{**document, name: [one] if isinstance(value, list) else one} for one in spoils]
    return found


@pytest.mark.parametrize("server", SENDS)
async def test_rubbish_in_any_member_is_said_to_be_unreadable(server: str) -> None:
    for at, (name, document) in enumerate(load(server).items()):
        for one in spoiled(document)[at % 4 :: 4]:  # a quarter for each document: all of it for each server, in a quarter of the time
            if "actor" not in name and "group" not in name and "stub" not in name:
                try:
                    claim(one)
                    foreign.is_foreign(one, b"valueflows")
                    parse(one)
                except (Unreadable, InboxError):
                    continue
            else:
                try:
                    parse_actor(one)
                except Unreadable:
                    continue


def played(peer: FakePeer, document: Document) -> FakeActor:
    """An actor of the fake peer that looks like this document, and signs with a key of ours."""
    key = document["publicKey"]
    kind = type("Played", (FakeActor,), {"id": property(lambda _: document["id"]), "key_id": property(lambda _: key["id"])})
    made: FakeActor = kind(peer, document["preferredUsername"])
    made.keys = pair("p1")
    key["publicKeyPem"] = pem(made.keys.rsa)
    peer.actors[made.name] = made
    peer.documents[urlsplit(document["id"]).path] = {name: value for name, value in document.items() if name != "assertionMethod"}
    return made


def moved_in(document: Document, server: str, peer: FakePeer, amina: Person, post: str, follow: str = "") -> Document:
    """A document as if its server were the fake peer, and ours the one it speaks of."""
    text = json.dumps(document)
    ours = {FOLLOW: follow, RADIO: amina.uri, POST: post, "@radio@fedmatch.example": f"@{amina.handle}"}
    for old, new in ours.items():
        text = text.replace(old, new)
    host = {"gotosocial": "gts"}.get(server, server)
    text = text.replace(f"https://{host}.example", peer.base).replace(f"{host}.example", peer.host)
    moved: Document = json.loads(re.sub(r"https://files\.[a-z]+\.example", peer.base, text))
    return moved


@pytest.mark.parametrize("server", [name for name in SENDS if name != "lemmy"])
async def test_each_does_what_it_means_and_rubbish_does_nothing(amina: Person, peer: FakePeer, server: str) -> None:
    world, site = amina.world, amina.site
    documents, post = load(server), await amina.post(f"what {server} speaks of")
    first = moved_in(documents["actor"], server, peer, amina, post.uri)
    p1 = played(peer, first)
    # Given somebody of such a server whom she follows, and who says yes in its words
    await amina.follow(p1.handle)
    await world.settle()
    asked = peer.activities("Follow")[-1]
    letters = {name: document for name, document in documents.items() if name not in ("actor", "group", "key-stub")}
    said = {name: moved_in(document, server, peer, amina, post.uri, asked["id"]) for name, document in letters.items()}
    said = {name: activity for name, activity in said.items() if activity["actor"].startswith(peer.base)}
    assert (await p1.send(said["accept-follow"], amina.actor.inbox)).status == 202
    await world.settle()
    assert await amina.following(p1.handle) == "accepted"
    # When they say everything, each by whom it is from
    speakers = {p1.id: p1}
    for name, activity in said.items():
        if activity["actor"] not in speakers:
            other = {**first, "id": activity["actor"], "preferredUsername": "instance", "webfinger": None, "inbox": f"{peer.base}/inbox", "type": "Application"}
            other = {name: value for name, value in other.items() if name in ("@context", "id", "type", "preferredUsername", "inbox")}
            speakers[activity["actor"]] = played(peer, {**other, "publicKey": {"id": f"{activity['actor']}#main-key", "owner": activity["actor"]}})
        if not name.startswith(("accept", "delete", "undo", "block", "move")):
            site.instance.limits = Limits()
            assert (await speakers[activity["actor"]].send(activity, amina.actor.inbox)).status == 202, name
    await world.settle()
    # Then it is here
    assert p1.id in await amina.followers()
    written = [activity["object"]["id"] for name, activity in said.items() if name.startswith("create") and activity["actor"] == p1.id]
    for uri in written:
        assert await site.count("post", "uri = :uri", uri=uri) == 1, uri
    if said["announce"]["object"] == post.uri:
        assert (await site.get(f"{post.uri}/shares")).json["totalItems"] == 1
    wanted = int("emoji" in SENDS[server])
    assert await site.count("reaction", "post_id = :post and emoji <> ''", post=post.id) >= wanted
    if "flag" in said:
        shown = await site.instance.database.read(reports.newest)
        assert amina.handle in [one.about for one in shown]
    # And what is deleted is gone
    gone = next(activity for name, activity in said.items() if name.startswith("delete") and name != "delete-actor")
    assert (await p1.send(gone, amina.actor.inbox)).status == 202
    await world.settle()
    thing = gone["object"]["id"] if isinstance(gone["object"], dict) else gone["object"]
    assert await site.count("post", "uri = :uri", uri=thing) == 0
    # When the same comes with rubbish somewhere, it is refused or forgotten, and the server goes on
    draw = random.Random(server)
    for name, activity in said.items():
        if name == "delete-actor":
            continue
        kept = [one for one in spoiled(activity) if one.get("actor") == activity["actor"]]
        for one in draw.sample(kept, 1):
            site.instance.limits = Limits()
            answer = await speakers[activity["actor"]].send({**one, "id": f"{one.get('id')}-{draw.random()}"}, amina.actor.inbox)
            assert answer.status in (202, 400, 401, 403), (name, one)
    await world.settle()
    assert await site.count("arrival", "state = 'failed' and error not like 'unreadable%' and error not like 'refused%'") == 0
    for one in draw.sample(spoiled(first), 4):
        peer.documents[urlsplit(first["id"]).path] = one
        update = {"@context": AS2, "id": f"{peer.base}/u/{draw.random()}", "type": "Update", "actor": p1.id, "object": one}
        site.instance.limits = Limits()
        assert (await p1.send(update, amina.actor.inbox)).status in (202, 400, 401, 403)
    await world.settle()
    assert (await site.get("/healthz", "*/*")).status == 200
