"""How do two instances of a test world come to trust each other? As their admins do: add, read the words, trust, on both sides."""

from datetime import timedelta
from typing import Any

from actors import known, peers
from actors.peers import Partner
from fedmatch.board import answers
from fedmatch.board.answers import Response
from fedmatch.safety import peering
from outbox import confidential
from schemas.activities import Create
from schemas.objects import Note, Proposal
from schemas.reading import Iri
from schemas.storage import Transaction
from tests.world import Person, Site, World


async def befriend(world: World, one: Site, other: Site, **terms: Any) -> None:
    """Both admins add, compare and trust; returns when what is not public may go both ways. `terms`: `count`, `announce`, for both sides."""
    await peering.add(one.instance, other.host)
    await peering.add(other.instance, one.host)
    await world.settle()
    read = [await peering.words(one.instance, other.host), await peering.words(other.instance, one.host)]
    assert read[0].words == read[1].words
    assert read[0].digits == read[1].digits
    await peering.trust(one.instance, read[0], **terms)
    await peering.trust(other.instance, read[1], **terms)
    await world.settle()
    assert (await partner(one, other)).ready
    assert (await partner(other, one)).ready


async def partner(site: Site, other: Site) -> Partner:
    """How far `site` is with `other`."""
    found = await site.instance.database.read(peers.partner_named, other.host)
    assert found is not None
    return found


async def confide(sender: Person, to: Site, text: str, *, number: int = 1) -> None:
    """Sends a request from somebody to the Application of another instance, sealed."""
    site = sender.site
    instance = site.instance
    theirs = await partner(site, to)

    async def body(tx: Transaction) -> None:
        note = Note(
            id=Iri(f"{sender.uri}/secret/{number}"),
            attributed_to=Iri(sender.uri),
            content=f"<p>{text}</p>",
            published=instance.clock.now().replace(microsecond=0),
            to=(theirs.application,),
            proposal=Proposal("request", "Something that is not public", text, categories=("LegalAid",), expires=instance.clock.now() + timedelta(days=60)),
        )
        create = Create(id=Iri(f"{note.id}#create"), actor=note.attributed_to, object=note, to=note.to)
        await confidential.publish(tx, instance, sender.actor, create, theirs.host_id, object=note.id, ordering_key=f"{theirs.host} {note.id}")

    await instance.database.write(body)
    instance.wake("delivery")


async def holds(site: Site, uri: str) -> bool:
    """Whether a post of that id lies at the site."""
    return await site.count("post", "uri = :uri", uri=uri) == 1


async def application(site: Site) -> str:
    """The id of the site's Application."""
    return (await site.instance.database.read(known.application)).uri


async def of(person: Person) -> list[Response]:
    """The answers that somebody got and gave."""
    site = person.site.instance
    return await site.database.read(answers.of_actor, site, person.actor)


async def do(person: Person, act: Any, *values: Any, **more: Any) -> Any:
    """One step of `fedmatch.board.responses` with the person's one answer."""
    site = person.site.instance
    (held,) = await of(person)

    async def body(tx: Transaction) -> Any:
        return await act(tx, site, person.actor, held, *values, **more)

    made = await site.database.write(body)
    site.wake("delivery")
    site.wake("job")
    await person.world.settle()
    return made
