"""How does a request or an offer look as a post? The Note that every server shows, with the members that make it a listing."""

from datetime import datetime
from typing import TYPE_CHECKING

from actors import hosts, known
from actors.known import Actor
from schemas import listings as wording
from schemas.objects import PUBLIC, Hashtag, Note, Proposal
from schemas.reading import Iri

if TYPE_CHECKING:
    from actors.instance import Instance


def tag_page(instance: "Instance", tag: str) -> Iri:
    """Where a hashtag leads; without one, where all of them lie."""
    return Iri(f"{instance.config.base_url}/tags/{tag.lower()}")


def note_of(
    instance: "Instance",
    actor: Actor,
    uri: Iri,
    proposal: Proposal,
    language: str | None,
    published: datetime,
    updated: datetime | None = None,
    *,
    to: tuple[Iri, ...] = (PUBLIC,),
    announcers: tuple[Iri, ...] = (),
) -> Note:
    """A request or offer as a complete post: what a server that knows only Notes shows, with the members that make it a listing.

    `to` is everybody, or for one that is not public the Application of one trusted peer, or nobody. `announcers` are our Services that may announce it: some
    servers take their Updates only if the post names them (protocol.md 14.6). Pure but for the configuration: the same listing gives the same Note, so
    documents are written anew instead of kept.
    """
    public = PUBLIC in to
    pages = tag_page(instance, "") if public else None   # nothing that is not public holds a link
    content = wording.content(proposal, language or "en", pages, checked_by=_checked_by(instance, proposal))
    tags = wording.hashtags(proposal) if public else ()
    followers = (actor.followers,) if actor.followers and public else ()
    return Note(
        id=uri,
        attributed_to=actor.uri,
        content=content,
        language=language,
        # The entry is byte-identical to `content` and comes first: GoToSocial and Mastodon find the language so (protocol.md 14.11).
        content_map=((language, content),) if language else (),
        source=proposal.text,
        url=uri,
        published=published,
        updated=updated,
        conversation=f"{uri}#conversation",
        to=to,
        cc=(*followers, *announcers),
        hashtags=tuple(Hashtag(tag, tag_page(instance, tag)) for tag in tags),
        proposal=proposal,
    )


def _checked_by(instance: "Instance", proposal: Proposal) -> tuple[str, ...]:
    """The names of those who vouch for its author: our own name, the hosts of others."""
    issuers = dict.fromkeys(hosts.authority(vouch.issuer) for vouch in proposal.vouches if vouch.level > 0)
    return tuple(instance.config.name if issuer in known.ours(instance) else issuer for issuer in issuers)
