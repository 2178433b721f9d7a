"""Rows A023-A034: who may say what about what. Every letter here is rightly signed."""

import json
from collections.abc import Callable
from typing import Any

from outbox import posts
from outbox.visible import Member, can_read
from schemas.reading import Document
from schemas.storage import Transaction
from tests.attacks.stage import Act, Case, Stage
from tests.fakepeer import PUBLIC, FakeActor
from tests.wire import Answer

TAKEN = frozenset({202})
DROPPED = frozenset({202, 400, 401, 403})
"""security.md says 202 and drop, or 403: refused at once where the document alone shows it, dropped where our rows must be asked."""

Make = Callable[[Stage], Document]


def sent(make: Make, by: str = "mallory", status: int | None = None) -> Act:
    """An activity as `by` sends it."""

    async def act(stage: Stage) -> Answer:
        return await stage.send(make(stage), getattr(stage, by))

    return act


def note_with(by: str = "mallory", **members: Any) -> Make:
    """A Create by `by` whose note has these members; `...` takes one away. Names in capitals stand for what is on the stage."""

    def make(stage: Stage) -> Document:
        author: FakeActor = getattr(stage, by)
        create = stage.create(author)
        filled = fill(stage, members)
        create["object"] = {key: value for key, value in (create["object"] | filled).items() if value is not ...}
        return create

    return make


def create_with(by: str = "mallory", **members: Any) -> Make:
    def make(stage: Stage) -> Document:
        return {key: value for key, value in (stage.create(getattr(stage, by)) | fill(stage, members)).items() if value is not ...}

    return make


def fill(stage: Stage, value: Any) -> Any:
    """The value with its names in capitals replaced."""
    if isinstance(value, dict):
        return {key: fill(stage, one) for key, one in value.items()}
    if isinstance(value, list):
        return [fill(stage, one) for one in value]
    if not isinstance(value, str):
        return value
    names = {"VICTIM": stage.victim.id, "MALLORY": stage.mallory.id, "OTHER": stage.other.id, "READER": stage.reader.uri, "FRIEND": stage.friend.uri}
    names |= {"PEER": stage.peer.base, "ELSEWHERE": stage.elsewhere.base, "OURS": stage.site.base, "NOTE": stage.note["id"], "SECRET": stage.secret["id"]}
    names |= {"SAID": stage.said.uri, "WHISPERED": stage.whispered.uri, "P1": stage.p1.id}
    for name, real in names.items():
        value = value.replace(name, real)
    return value


def activity(kind: str, object: Any, by: str = "mallory", **members: Any) -> Act:
    """An activity of `by` about an object on the stage."""

    async def act(stage: Stage) -> Answer:
        author: FakeActor = getattr(stage, by)
        return await stage.send(author.activity(kind, fill(stage, object), **fill(stage, {"to": [PUBLIC, "READER"], **members})), author)

    return act


async def without_author(stage: Stage) -> Answer:
    """DESIGN and Misskey: a note without an author is its sender's; so mallory may say it, as mallory."""
    make = note_with(attributedTo=..., content="<p>by nobody</p>")
    document = make(stage)
    answer = await stage.send(document, stage.mallory)
    await stage.settle()
    rows = await stage.site.rows("select actor.uri from post join actor on actor.id = post.actor_id where post.uri = :uri", uri=document["object"]["id"])
    assert [row["uri"] for row in rows] in ([], [stage.mallory.id])
    return answer


def channelled(*authors: Any) -> Act:
    """PeerTube's films: the account that speaks, and the channel the film stands in. It is the account's, and the channel may say nothing of it."""

    async def act(stage: Stage) -> list[Answer]:
        make = note_with(attributedTo=list(authors), content="<p>in a channel</p>", published="2026-01-01T00:00:00Z")
        document = make(stage)
        note = document["object"]
        answers = [await stage.send(document, stage.mallory)]
        await stage.settle()
        changed = {**note, "content": "<p>false words</p>", "updated": stage.peer.stamp()}
        for kind, thing in (("Update", changed), ("Delete", note["id"])):
            answers.append(await stage.send(stage.victim.activity(kind, thing, to=note["to"]), stage.victim))
        await stage.settle()
        rows = await stage.site.rows("select actor.uri, post.visibility from post join actor on actor.id = post.actor_id where post.uri = :uri", uri=note["id"])
        assert [(row["uri"], row["visibility"]) for row in rows] == [(stage.mallory.id, "direct")]
        assert "in a channel" in await stage.reader.reads()
        assert "false words" not in await stage.reader.reads()
        return answers

    return act


FOREIGN = {"type": "Note", "attributedTo": "VICTIM", "content": "<p>false words</p>", "to": [PUBLIC], "published": "2026-01-01T00:00:00Z"}


def takeovers(kind: str) -> dict[str, Any]:
    """What somebody might say about what is not theirs."""
    return {
        "Update": {"id": "NOTE", "updated": "2036-01-01T00:00:00Z", **FOREIGN},
        "Delete": {"id": "NOTE", "type": "Tombstone"},
        "Undo": {"id": "PEER/follow/1", "type": "Follow", "actor": "VICTIM", "object": "READER"},
        "Accept": {"id": "OURS/activities/1", "type": "Follow", "actor": "READER", "object": "VICTIM"},
        "Reject": {"id": "OURS/activities/1", "type": "Follow", "actor": "READER", "object": "VICTIM"},
        "Block": {"id": "VICTIM", "type": "Person"},
        "Move": "VICTIM",
        "Flag": ["VICTIM", "NOTE"],
        "Add": "NOTE",
        "Remove": "NOTE",
    }[kind]  # type: ignore[return-value]  # each is whatever that activity is about


# A026, A027: what an owner may not change.


def edit(**changes: Any) -> Act:
    """An Update of the victim's own note by the victim."""

    async def act(stage: Stage) -> Answer:
        stage.world.clock.move(seconds=2)
        changed = {**stage.note, "updated": stage.peer.stamp(), **fill(stage, changes)}
        return await stage.send(stage.victim.activity("Update", changed, to=stage.note["to"]), stage.victim)

    return act


def profile(*, served: bool = False, **changes: Any) -> Act:
    """An Update of a known actor about itself; `served`: its own document says so too, but its handle does not lead back."""

    async def act(stage: Stage) -> Answer:
        overrides = fill(stage, changes)
        if served:
            stage.p1.overrides.update(overrides)
        document = stage.p1.document() | overrides
        try:
            answer = await stage.send(stage.p1.activity("Update", document), stage.p1)
            await stage.settle()
        finally:
            for name in overrides:
                stage.p1.overrides.pop(name, None)
        return answer

    return act


async def stale_update(stage: Stage) -> list[Answer]:
    note = stage.direct(text="<p>first</p>")
    answers = [await stage.send(stage.p1.create(note))]
    await stage.settle()
    for content, updated in (("<p>third</p>", 3600), ("<p>second</p>", 1800), ("<p>zeroth</p>", -9000)):
        stage.world.clock.move(hours=0)
        from datetime import timedelta

        at = (stage.world.clock.now() + timedelta(seconds=updated - 7200)).strftime("%Y-%m-%dT%H:%M:%SZ")
        answers.append(await stage.send(stage.p1.activity("Update", {**note, "content": content, "updated": at}, to=note["to"])))
        await stage.settle()
    # Published now and edited before: none is newer than what was there first.
    assert "first" in await stage.reader.reads()
    return answers


async def older_update(stage: Stage) -> list[Answer]:
    note = stage.direct(text="<p>one</p>", published="2026-01-01T00:00:00Z")
    answers = [await stage.send(stage.p1.create(note))]
    for content, updated in (("<p>three</p>", "2026-01-03T00:00:00Z"), ("<p>two</p>", "2026-01-02T00:00:00Z"), ("<p>same</p>", "2026-01-03T00:00:00Z")):
        await stage.settle()
        answers.append(await stage.send(stage.p1.activity("Update", {**note, "content": content, "updated": updated}, to=note["to"])))
    await stage.settle()
    read = await stage.reader.reads()
    assert "three" in read
    assert not {"one", "two", "same"} & set(read)
    return answers


async def deleted_before(stage: Stage) -> list[Answer]:
    create = stage.create(text="<p>too late</p>")
    answers = [await stage.send(stage.p1.activity("Delete", {"id": create["object"]["id"], "type": "Tombstone"}))]
    await stage.settle()
    answers.append(await stage.send(create))
    answers.append(await stage.send(stage.p1.activity("Update", {**create["object"], "updated": stage.peer.stamp()})))
    await stage.settle()
    stage.world.clock.move(days=29)
    answers.append(await stage.send({**create, "id": f"{create['id']}/again"}))
    await stage.settle()
    stage.world.clock.move(days=-29)
    return answers


# A029


async def announce_altered(stage: Stage) -> Answer:
    """An Announce that brings the words along: the words of the origin are shown, or none."""
    note = stage.other.note("<p>as it was said</p>")
    announce = stage.p1.activity("Announce", {**note, "content": "<p>false words</p>"}, to=[PUBLIC])
    answer = await stage.send(announce)
    await stage.settle()
    rows = await stage.site.rows("select content from post where uri = :uri", uri=note["id"])
    assert [row["content"] for row in rows] in ([], ["<p>as it was said</p>"])
    return answer


async def announce_unreachable(stage: Stage) -> Answer:
    note = stage.other.note("<p>x</p>")
    stage.hide(note)
    return await stage.send(stage.p1.activity("Announce", {**note, "content": "<p>false words</p>"}, to=[PUBLIC]))


async def announce_of_itself(stage: Stage) -> Answer:
    announce = stage.p1.activity("Announce", "x", to=[PUBLIC])
    return await stage.send({**announce, "object": announce["id"]})


async def announce_loop(stage: Stage) -> list[Answer]:
    """Two announces that boost each other, both served."""
    one, two = stage.p1.activity("Announce", "x", to=[PUBLIC]), stage.p1.activity("Announce", "x", to=[PUBLIC])
    one["object"], two["object"] = two["id"], one["id"]
    for document in (one, two):
        stage.peer.documents[document["id"].removeprefix(stage.peer.base)] = document
    asked = len(stage.peer.log)
    answers = [await stage.send(document) for document in (one, two)]
    await stage.settle()
    assert len(stage.peer.log) - asked <= 6
    return answers


async def announce_of_followers_post(stage: Stage) -> list[Answer]:
    """A followers-only post of the victim, boosted to everybody by somebody else, is not shown wider."""
    note = stage.victim.note("<p>for followers</p>", to=[stage.victim.followers], cc=[])
    answers = [await stage.send(stage.victim.create(note), stage.victim)]
    await stage.settle()
    answers.append(await stage.send(stage.p1.activity("Announce", note["id"], to=[PUBLIC])))
    await stage.settle()
    boosts = "select one.id from post one join post two on two.id = one.boost_of where two.uri = :uri"
    assert await stage.site.rows(boosts, uri=note["id"]) == []
    assert (await stage.site.get(note["id"])).status == 200  # its own server's matter; ours never serves it
    return answers


# A030, A031


async def accepts_again(stage: Stage) -> list[Answer]:
    follow = {"id": f"{stage.site.base}/activities/1", "type": "Follow", "actor": stage.reader.uri, "object": stage.victim.id}
    return [await stage.send(stage.victim.activity("Accept", follow), stage.victim) for _ in range(3)]


async def locked_and_silent(stage: Stage) -> list[Answer]:
    """A locked actor's posts for followers are not here before it said yes, whatever its server sends."""
    locked = stage.stranger()
    locked.locked = True
    # Somebody else here has its yes, so that what it says is kept.
    assert await stage.friend.follow(locked.handle) == "requested"
    await stage.settle()
    asked = [one for one in stage.peer.activities("Follow") if one["object"] == locked.id][-1]
    assert (await stage.send(locked.activity("Accept", asked), locked)).status == 202
    assert await stage.reader.follow(locked.handle) == "requested"
    await stage.settle()
    note = locked.note("<p>for my followers</p>", to=[locked.followers], cc=[])
    answers = [await stage.send(locked.create(note), locked, stage.shared)]
    await stage.settle()
    assert await stage.reader.following(locked.handle) == "requested"
    assert "for my followers" in await stage.friend.reads()
    assert "for my followers" not in await stage.reader.reads()

    async def may_read(tx: Transaction, who: int) -> bool:
        held = await posts.by_uri(tx, note["id"])
        assert held is not None
        return await can_read(tx, Member(who), held.id)

    # Nor by its address, nor anywhere else that asks who may read
    assert await stage.site.instance.database.read(may_read, stage.friend.actor.id)
    assert not await stage.site.instance.database.read(may_read, stage.reader.actor.id)
    follow = [one for one in stage.peer.activities("Follow") if one["object"] == locked.id][-1]
    answers.append(await stage.send(locked.activity("Accept", follow), locked))
    await stage.settle()
    assert await stage.reader.following(locked.handle) == "accepted"
    for person in (stage.reader, stage.friend):
        await person.unfollow(locked.handle)
    await stage.send(locked.delete(note), locked, stage.shared)
    await stage.settle()
    return answers


# A032


def move(by: str, object: str, target: str, *, linked: bool = False) -> Act:
    async def act(stage: Stage) -> Answer:
        mover: FakeActor = getattr(stage, by)
        aim: FakeActor | None = {"MALLORY": stage.mallory, "OTHER": stage.other, "VICTIM": stage.victim}.get(target)
        if linked and aim is not None:
            aim.overrides["alsoKnownAs"] = [mover.id]
        answer = await stage.send(mover.activity("Move", fill(stage, object), target=fill(stage, target), to=[mover.followers]), mover)
        await stage.settle()
        if linked and aim is not None:
            aim.overrides.pop("alsoKnownAs")
        assert await stage.reader.following(stage.victim.handle) == "accepted"
        return answer

    return act


async def move_in_a_circle(stage: Stage) -> list[Answer]:
    """Two strangers that each moved to the other: nobody follows either because of it, and it ends."""
    one, two = stage.stranger(), stage.stranger()
    one.overrides |= {"movedTo": two.id, "alsoKnownAs": [two.id]}
    two.overrides |= {"movedTo": one.id, "alsoKnownAs": [one.id]}
    asked = len(stage.peer.log)
    answers = []
    for mover, target in ((one, two), (two, one), (one, two), (two, one)):
        answers.append(await stage.send(mover.activity("Move", mover.id, target=target.id, to=[PUBLIC, stage.reader.uri]), mover))
        await stage.settle()
    assert len(stage.peer.log) - asked <= 20
    assert await stage.reader.following(one.handle) is None
    return answers


async def moves_far_too_often(stage: Stage) -> list[Answer]:
    """The same Move, again and again, of somebody who says that a million follow: at most one look, and nobody counts them."""
    mover = stage.stranger(followers=f"{stage.peer.base}/million")
    stage.peer.documents["/million"] = {"id": f"{stage.peer.base}/million", "type": "OrderedCollection", "totalItems": 1_000_000, "first": "x"}
    stage.other.overrides["alsoKnownAs"] = [mover.id]
    activity = mover.activity("Move", mover.id, target=stage.other.id, to=[PUBLIC])
    asked = len(stage.elsewhere.log)
    answers = [await stage.send({**activity, "id": f"{activity['id']}/{number}"}, mover) for number in range(5)]
    await stage.settle()
    stage.other.overrides.pop("alsoKnownAs")
    assert len(stage.elsewhere.log) - asked <= 1, len(stage.elsewhere.log) - asked
    assert stage.peer.asked("/million") == []
    assert await stage.reader.following(stage.other.handle) is None
    return answers


async def private_to_public(stage: Stage) -> Answer:
    stage.world.clock.move(seconds=2)
    changed = {**stage.secret, "to": [PUBLIC], "cc": [], "updated": stage.peer.stamp()}
    answer = await stage.send(stage.victim.activity("Update", changed, to=[PUBLIC]), stage.victim)
    await stage.settle()
    [row] = await stage.site.rows("select visibility, content from post where uri = :uri", uri=stage.secret["id"])
    assert (row["visibility"], row["content"]) == ("direct", None)
    return answer


async def create_announce_elsewhere(stage: Stage) -> Answer:
    return await stage.send({**stage.p1.activity("Announce", stage.note["id"], to=[PUBLIC]), "id": f"{stage.elsewhere.base}/announce"})


async def forged_report(stage: Stage) -> Answer:
    return await stage.send({**stage.victim.activity("Flag", [stage.reader.uri]), "id": None}, stage.mallory)


def question(total: Any) -> Document:
    options = [{"type": "Note", "name": name, "replies": {"type": "Collection", "totalItems": total}} for name in ("yes", "no")]
    return {
        "id": "PEER/questions/1",
        "type": "Question",
        "attributedTo": "VICTIM",
        "oneOf": options,
        "votersCount": total,
        "to": ["MALLORY"],
        "published": "2026-01-01T00:00:00Z",
    }


def sums(total: Any) -> Act:
    """The author's own figures: read or not, they break nothing and are shown nowhere."""

    async def act(stage: Stage) -> Answer:
        answer = await stage.send(stage.victim.activity("Update", fill(stage, question(total)), to=[stage.reader.uri]), stage.victim)
        await stage.settle()
        assert str(total) not in str(await stage.reader.home())
        return answer

    return act


async def bad_totals(stage: Stage) -> Answer:
    body = json.dumps(stage.victim.activity("Update", fill(stage, question(0)))).replace('"totalItems": 0', '"totalItems": NaN').encode()
    return await stage.send(body, stage.victim)


async def votes(stage: Stage) -> list[Answer]:
    """Votes in what is no poll of ours: not shown as posts, however many."""
    vote = {"type": "Note", "name": "yes", "inReplyTo": stage.said.uri, "attributedTo": stage.p1.id, "to": [stage.reader.uri], "published": stage.peer.stamp()}
    return [await stage.send(stage.p1.activity("Create", {**vote, "id": f"{stage.peer.base}/votes/{number}"}, to=[stage.reader.uri])) for number in range(2)]


def rows() -> list[Case]:
    """The table."""
    found: list[Case] = []

    def case(row: str, name: str, act: Act, status: frozenset[int] = DROPPED, **more: bool) -> None:
        found.append(Case(row, name, act, status, **more))

    case("A023", "attributed to another of the same server", sent(note_with(attributedTo="VICTIM")), frozenset({403}))
    case("A023", "attributed to another of another server", sent(note_with(attributedTo="OTHER")), frozenset({403}))
    case("A023", "attributed to one of ours", sent(note_with(attributedTo="READER")), frozenset({403}))
    case("A023", "a second author", sent(note_with(attributedTo=["MALLORY", "VICTIM"])), frozenset({403}))
    case("A023", "a second author first", sent(note_with(attributedTo=["VICTIM", "MALLORY"])), frozenset({403}))
    case("A023", "an author as object", sent(note_with(attributedTo={"id": "VICTIM", "type": "Person"})), frozenset({403}))
    case("A023", "no author", without_author, effect=True)
    person, channel = {"type": "Person", "id": "MALLORY"}, {"type": "Group", "id": "VICTIM"}
    for name, authors in {
        "a person beside the sender": [person, {"type": "Person", "id": "VICTIM"}], "a channel without the sender": [channel],
        "a channel and nothing": [None, channel], "a channel and its account, not the sender": [{"type": "Person", "id": "P1"}, channel],
        "a channel on another host": [person, {"type": "Group", "id": "OTHER"}], "a channel of ours": [person, {"type": "Group", "id": "READER"}],
        "a channel without id": [person, {"type": "Group"}], "a channel of two types": [person, {"type": ["Group", "Person"], "id": "VICTIM"}],
        "a channel of rubbish": [person, {"type": "Group", "id": {"id": "VICTIM"}}], "a channel and a second author": [person, channel, "P1"],
    }.items():  # fmt: skip
        case("A023", name, sent(note_with(attributedTo=authors)), frozenset({403}))
    # A film stands in a channel (PeerTube): the account says so, and nobody else may.
    case("A023", "the channel beside the sender is no author", channelled(person, channel), effect=True)
    case("A023", "the channel first", channelled(channel, "MALLORY"), effect=True)

    ids: dict[str, Any] = {"null": None, "a number": 7, "an object": {"id": "PEER/x"}, "a list": ["PEER/x"], "empty": "", "relative": "/notes/1", "a word": "x"}
    case("A024", "object on another host", sent(note_with(id="ELSEWHERE/notes/1")))
    case("A024", "object on our host", sent(note_with(id="OURS/posts/1")))
    case("A024", "object is a post of ours", sent(note_with(id="SAID")))
    case("A024", "object is a post of another", sent(note_with(id="NOTE")))
    case("A024", "activity on another host", sent(create_with(id="ELSEWHERE/activities/1")))
    case("A024", "activity on our host", sent(create_with(id="OURS/activities/1")))
    for name, value in ids.items():
        # A list or an object of ids is read where peers write so; the posts it would make are not here, so it must not be stored under a made-up id.
        case("A024", f"object's id {name}", sent(note_with(id=value)), effect=name in {"a list", "an object"})
        case("A024", f"activity's id {name}", sent(create_with(id=value)))
    case("A024", "object without id", sent(note_with(id=...)))
    case("A024", "activity without id", sent(create_with(id=...)))

    for kind in ("Update", "Delete", "Undo", "Accept", "Reject", "Block", "Move", "Flag", "Add", "Remove"):
        for by, place in (("mallory", "same host"), ("other", "another host")):
            target = {"target": "VICTIM/collections/featured"} if kind in {"Add", "Remove"} else {"target": "MALLORY"} if kind == "Move" else {}
            case("A025", f"{kind} by somebody else, {place}", activity(kind, takeovers(kind), by, **target))
    case("A025", "Delete of another actor, same host", activity("Delete", "VICTIM"))
    case("A025", "Delete of another actor, another host", activity("Delete", "VICTIM", "other"))
    case("A025", "Delete of one of ours", activity("Delete", "READER"))
    case("A025", "Delete of a post of ours", activity("Delete", {"id": "SAID", "type": "Tombstone"}))
    case(
        "A025",
        "Update of another actor",
        activity("Update", {"id": "VICTIM", "type": "Person", "inbox": "PEER/users/mallory/inbox", "preferredUsername": "victim"}),
    )
    case("A025", "Update of one of ours", activity("Update", {"id": "READER", "type": "Person", "inbox": "PEER/x", "preferredUsername": "reader"}))
    case("A025", "Undo of another's boost, by id", activity("Undo", "NOTE"))

    case("A026", "type", edit(type="Question"))
    case("A026", "attributedTo", edit(attributedTo="MALLORY"))
    case("A026", "id of another's", activity("Update", {"id": "SAID", "type": "Note", "attributedTo": "VICTIM", "content": "<p>x</p>"}, "victim"))
    case("A026", "public to private", edit(to=["READER"], cc=[]))
    case("A026", "published", edit(published="2001-01-01T00:00:00Z"))
    case("A026", "private to public", private_to_public)
    case("A026", "preferredUsername", profile(preferredUsername="president"))
    case("A026", "preferredUsername, served too", profile(served=True, preferredUsername="president"))
    case("A026", "inbox on another host", profile(inbox="ELSEWHERE/inbox"))
    case("A026", "inbox on another host, served too", profile(served=True, inbox="ELSEWHERE/inbox"))
    case("A026", "inbox on our host", profile(served=True, inbox="OURS/inbox"))
    case("A026", "publicKey pushed", profile(publicKey={"id": "P1#main-key", "owner": "P1", "publicKeyPem": "x"}))
    case("A026", "movedTo pushed", profile(movedTo="OTHER"))
    case("A026", "id of another actor", profile(id="VICTIM"))

    case("A027", "older than what we hold", older_update, TAKEN, effect=True)
    case("A027", "before it was published", stale_update, TAKEN, effect=True)

    case("A028", "Delete, then Create, then Update", deleted_before, TAKEN)

    case("A029", "with altered words", announce_altered, TAKEN, met=True, effect=True)
    case("A029", "origin does not show it", announce_unreachable, TAKEN)
    case("A029", "of a direct post", activity("Announce", "SECRET", "victim"), TAKEN)
    case("A029", "of a direct post of ours", activity("Announce", "WHISPERED", "victim"), TAKEN)
    case("A029", "of a followers-only post", announce_of_followers_post, TAKEN, effect=True)
    case("A029", "of itself", announce_of_itself, TAKEN)
    case("A029", "of each other", announce_loop, TAKEN)
    case("A029", "with an id on another host", create_announce_elsewhere, DROPPED)

    case("A030", "of a follow never sent", activity("Accept", {"id": "OURS/activities/9", "type": "Follow", "actor": "FRIEND", "object": "MALLORY"}), TAKEN)
    case("A030", "of a follow never sent, by id", activity("Accept", "OURS/activities/9"), TAKEN)
    case("A030", "of a follow never sent, without object", activity("Accept", None), DROPPED)
    case("A030", "by somebody not followed", activity("Accept", {"id": "OURS/activities/9", "type": "Follow", "actor": "READER", "object": "MALLORY"}), TAKEN)
    case("A030", "by somebody else than the followed", activity("Accept", {"id": "x", "type": "Follow", "actor": "FRIEND", "object": "VICTIM"}), TAKEN)
    case("A030", "three times", accepts_again, TAKEN)

    case("A031", "content before its yes", locked_and_silent, TAKEN, met=True, effect=True)

    case("A032", "no link back", move("victim", "VICTIM", "OTHER"), TAKEN)
    case("A032", "of another", move("mallory", "VICTIM", "MALLORY", linked=True), DROPPED)
    case("A032", "to itself", move("victim", "VICTIM", "VICTIM"), TAKEN)
    case("A032", "to one of ours", move("victim", "VICTIM", "READER"), TAKEN)
    case("A032", "to nowhere", move("victim", "VICTIM", "PEER/users/nobody"), TAKEN)
    case("A032", "to rubbish", move("victim", "VICTIM", "javascript:alert(1)"), DROPPED)
    case("A032", "in a circle", move_in_a_circle, TAKEN, met=True)
    case("A032", "again and again", moves_far_too_often, TAKEN, met=True)

    case("A033", "10,000 objects", activity("Flag", [f"http://flagged.example/{n}" for n in range(10_000)]), TAKEN)
    case("A033", "users of another host", activity("Flag", ["OTHER", "VICTIM"]), TAKEN)
    case("A033", "in the name of another", forged_report, DROPPED)
    case("A033", "a novel", activity("Flag", ["READER", "SAID"], content="x" * 200_000), TAKEN)

    for name, totals in {"negative": -5, "1e308": 1e308, "text": "many", "a list": [1], "great": 2**62}.items():
        case("A034", f"totals {name}", sums(totals), effect=True)
    case("A034", "totals NaN", bad_totals, frozenset({400}))
    case("A034", "two votes", votes, TAKEN)
    case("A034", "like of what one cannot see", activity("Like", "WHISPERED", "other"), TAKEN)
    case("A034", "like of nothing", activity("Like", "OURS/posts/1", "other"), TAKEN)
    case("A034", "boost of what one cannot see", activity("Announce", "WHISPERED", "other"), TAKEN)
    return found
