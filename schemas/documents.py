"""How does what we say look on the wire? Pure writers of documents every peer reads; what they write, `schemas.activities.parse` reads back unchanged.

The shapes follow what running servers accept: one string as `type`, `to` and `cc` as lists on activity and object alike, the full IRI of Public, no `name` on a
Note, terms defined inline (Takahe reads an unknown remote context as an empty one), and nothing a peer would have to fetch to understand us.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, assert_never
from xml.sax.saxutils import quoteattr

import msgspec

from schemas import agreements, peering, publickeys, sealed, vocabulary
from schemas.activities import (
    Accept,
    Activity,
    Add,
    Announce,
    Block,
    Create,
    Delete,
    EmojiReact,
    Flag,
    Follow,
    Like,
    Move,
    Offer,
    Other,
    Reject,
    Remove,
    Sealed,
    Undo,
    Update,
    Vote,
)
from schemas.objects import PUBLIC, ActorDocument, Agreement, Emoji, Need, Note, Poll, Proposal, Receipt, Reference, Tombstone
from schemas.reading import Document, Iri

AS: Final = "https://www.w3.org/ns/activitystreams"
SECURITY: Final = "https://w3id.org/security/v1"
ADDRESSES_ALL: Final = b'"https://www.w3.org/ns/activitystreams#Public"'
"""What stands in everything we wrote for everybody, and in nothing else of ours but as a text within a text, where the marks around it are escaped."""
ACTIVITY_JSON: Final = "application/activity+json"
"""The one media type every peer takes, in exactly this spelling."""

_THREAD: Final = re.compile(r"(.+/posts/)[0-9]+/context")

NOTE_TERMS: Final[Document] = {
    "ostatus": "http://ostatus.org#",
    "conversation": "ostatus:conversation",
    "sensitive": "as:sensitive",
    "Hashtag": "as:Hashtag",
    "toot": "http://joinmastodon.org/ns#",
    "Emoji": "toot:Emoji",
    "votersCount": "toot:votersCount",
}
LISTING_TERMS: Final[Document] = NOTE_TERMS | {
    "vf": vocabulary.VF,
    "om2": vocabulary.OM2,
    "fm": vocabulary.NAMESPACE,
    "gts": "https://gotosocial.org/ns#",
    "Proposal": "vf:Proposal",
    "Intent": "vf:Intent",
    "purpose": "vf:purpose",
    "publishes": "vf:publishes",
    "unitBased": "vf:unitBased",
    "action": "vf:action",
    "resourceConformsTo": {"@id": "vf:resourceConformsTo", "@type": "@id"},
    "resourceQuantity": "vf:resourceQuantity",
    "availableQuantity": "vf:availableQuantity",
    "hasUnit": "om2:hasUnit",
    "hasNumericalValue": "om2:hasNumericalValue",
    "due": "vf:due",
    "finished": "vf:finished",
    "hasEnd": "vf:hasEnd",
    "proposal": {"@id": "fm:proposal", "@type": "@id"},
    "status": "fm:status",
    "category": "fm:category",
    "skill": "fm:skill",
    "spokenLanguage": "fm:spokenLanguage",
    "region": "fm:region",
    "urgency": "fm:urgency",
    "expires": "fm:expires",
    "helperRegion": "fm:helperRegion",
    "onlyLanguages": "fm:onlyLanguages",
    "onlyRegion": "fm:onlyRegion",
    "capacity": "fm:capacity",
    "need": "fm:need",
    "Need": "fm:Need",
    "quantity": "fm:quantity",
    "equipment": "fm:equipment",
    "titleMap": {"@id": "fm:title", "@container": "@language"},
    "textMap": {"@id": "fm:text", "@container": "@language"},
    "followUpOf": {"@id": "fm:followUpOf", "@type": "@id"},
    "vouch": {"@id": "fm:vouch", "@type": "@json"},
    "readers": "fm:readers",
    "circle": "fm:circle",
    "interactionPolicy": {"@id": "gts:interactionPolicy", "@type": "@id"},
    "canReply": {"@id": "gts:canReply", "@type": "@id"},
    "canAnnounce": {"@id": "gts:canAnnounce", "@type": "@id"},
    "canQuote": {"@id": "gts:canQuote", "@type": "@id"},
    "automaticApproval": {"@id": "gts:automaticApproval", "@type": "@id"},
    "manualApproval": {"@id": "gts:manualApproval", "@type": "@id"},
}
ACTOR_TERMS: Final[Document] = {
    "toot": "http://joinmastodon.org/ns#",
    "schema": "http://schema.org#",
    "sec": "https://w3id.org/security#",
    "manuallyApprovesFollowers": "as:manuallyApprovesFollowers",
    "featured": {"@id": "toot:featured", "@type": "@id"},
    "proposals": {"@id": f"{vocabulary.NAMESPACE}proposals", "@type": "@id"},
    "discoverable": "toot:discoverable",
    "indexable": "toot:indexable",
    "movedTo": {"@id": "as:movedTo", "@type": "@id"},
    "alsoKnownAs": {"@id": "as:alsoKnownAs", "@type": "@id"},
    "PropertyValue": "schema:PropertyValue",
    "value": "schema:value",
    "webfinger": "https://purl.archive.org/socialweb/webfinger#webfinger",
    "assertionMethod": {"@id": "sec:assertionMethod", "@type": "@id"},
    "controller": {"@id": "sec:controller", "@type": "@id"},
    "Multikey": "sec:Multikey",
    "publicKeyMultibase": "sec:publicKeyMultibase",
    "implements": {"@id": "https://w3id.org/fep/844e#implements", "@type": "@id"},
}
PROOF_TERMS: Final[Document] = {
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "DataIntegrityProof": "https://w3id.org/security#DataIntegrityProof",
    "proof": {"@id": "https://w3id.org/security#proof", "@type": "@id", "@container": "@graph"},
    "cryptosuite": "https://w3id.org/security#cryptosuite",
    "verificationMethod": {"@id": "https://w3id.org/security#verificationMethod", "@type": "@id"},
    "proofPurpose": {"@id": "https://w3id.org/security#proofPurpose", "@type": "@vocab"},
    "assertionMethod": {"@id": "https://w3id.org/security#assertionMethod", "@type": "@id"},
    "proofValue": {"@id": "https://w3id.org/security#proofValue", "@type": "https://w3id.org/security#multibase"},
    "created": {"@id": "http://purl.org/dc/terms/created", "@type": "xsd:dateTime"},
}
"""What https://w3id.org/security/data-integrity/v2 says, written out: nobody has to fetch it, and Takahe knows no context by name but its own."""
NOTE_CONTEXT: Final[list[Any]] = [AS, NOTE_TERMS]
LISTING_CONTEXT: Final[list[Any]] = [AS, LISTING_TERMS]
MATTER_CONTEXT: Final[list[Any]] = [
    AS,
    NOTE_TERMS
    | {
        "fm": vocabulary.NAMESPACE,
        "matter": "fm:matter",
        "Matter": "fm:Matter",
        "kind": "fm:kind",
        "step": "fm:step",
        "whom": "fm:whom",
        "words": "fm:words",
    },
]
ACTOR_CONTEXT: Final[list[Any]] = [AS, SECURITY, ACTOR_TERMS]
APPLICATION_CONTEXT: Final[list[Any]] = [AS, SECURITY, ACTOR_TERMS | peering.TERMS]

CAPABILITIES: Final[tuple[tuple[str, str], ...]] = (
    (vocabulary.NAMESPACE, "fedmatch: requests and offers of skilled help"),
    ("https://datatracker.ietf.org/doc/html/rfc9421", "RFC-9421: HTTP Message Signatures"),
    (agreements.CAPABILITY, "FEP-0837: Federated Marketplace"),
)
"""What `implements` announces (FEP-844e): only what this version acts on, since peers send what they find here."""

CLOSED: Final = frozenset({"fulfilled", "withdrawn", "expired"})
"""States of a listing after which nothing comes."""


def dumps(document: Document) -> bytes:
    """A document as compact UTF-8 JSON, members in the order they were written."""
    return msgspec.json.encode(document)


def moment(time: datetime) -> str:
    """RFC 3339 in UTC with Z; milliseconds only where there are some."""
    utc = time.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S") + (f".{utc.microsecond // 1000:03}Z" if utc.microsecond >= 1000 else "Z")


def actor(person: ActorDocument) -> Document:
    """An actor's document; of an Application the least that everybody accepts (FEP-d556), of others what they set themselves."""
    application = person.kind == "Application"
    document: Document = {
        "@context": _actor_context(person),
        "id": person.id,
        "type": person.kind,
        "preferredUsername": person.username,
        "inbox": person.inbox,
    }
    _put(
        document,
        outbox=person.outbox,
        followers=person.followers,
        following=person.following,
        featured=person.featured,
        proposals=person.proposals,
        webfinger=person.handle,
        name=person.name,
        summary=person.summary,
        url=person.url,
        published=person.published and moment(person.published),
        updated=person.updated and moment(person.updated),
        movedTo=person.moved_to,
        alsoKnownAs=list(person.also_known_as),
        icon=person.icon and {"type": "Image", "url": person.icon},
        endpoints=person.shared_inbox and {"sharedInbox": person.shared_inbox},
    )
    document["manuallyApprovesFollowers"] = person.locked   # always a real boolean
    if not application:
        document |= {"discoverable": person.discoverable, "indexable": False}
    # One object, never a list: Misskey refuses the whole actor otherwise. An older RSA key that is still in force stands among the multikeys (FEP-521a).
    first = next((key for key in person.keys if key.algorithm == "rsa"), None)
    if first is not None:
        document["publicKey"] = {"id": first.id, "owner": first.owner, "publicKeyPem": publickeys.to_pem(first.public)}
    multikeys = [
        {"id": key.id, "type": "Multikey", "controller": key.owner, "publicKeyMultibase": publickeys.to_multibase(key.public, key.algorithm)}
        for key in person.keys
        if key is not first
    ]
    implements = [{"href": href, "name": name} for href, name in CAPABILITIES]
    _put(
        document,
        assertionMethod=multikeys,
        attachment=[{"type": "PropertyValue", "name": field.name, "value": field.value} for field in person.fields],
        implements=implements if application else None,
        generator=None if application else {"type": "Application", "implements": implements},
    )
    return document | (peering.write(person.id, person.greeting) if person.greeting else {})


def _actor_context(person: ActorDocument) -> list[Any]:
    return APPLICATION_CONTEXT if person.greeting else ACTOR_CONTEXT


def note(post: Note) -> Document:
    """A post of ours with its context; a request or offer carries its FEP-0837 members in the same object."""
    return {"@context": LISTING_CONTEXT if post.proposal else NOTE_CONTEXT} | _note(post)


def proposal(post: Note) -> Document:
    """The twin of a request or offer for strict readers of FEP-0837, served at `<id>/proposal`: type Proposal, with a name.

    Raises ValueError for a post that is neither.
    """
    if post.proposal is None:
        raise ValueError("only a request or an offer has a twin")
    twin = Iri(f"{post.id}/proposal")
    document = {"@context": LISTING_CONTEXT} | _note(post)
    document.pop("proposal", None)
    del document["interactionPolicy"]
    return document | {"id": twin, "type": "Proposal", "name": post.proposal.title, "publishes": _intent(twin, post.proposal)}


def activity(act: Activity) -> Document:
    """An activity with its context; Accept, Reject and Undo embed the whole inner activity."""
    match act:
        case Create(object=Note() as made) | Update(object=Note() as made):
            context = LISTING_CONTEXT if made.proposal else MATTER_CONTEXT if made.matter else NOTE_CONTEXT
        case Update(object=ActorDocument() as changed):
            context = _actor_context(changed)
        case Sealed():
            context = sealed.CONTEXT
        case Offer() | Undo(object=Offer()) | Accept(object=Offer()) | Reject(object=Offer()) | Accept(result=Agreement()):
            context = agreements.CONTEXT
        case Update(object=Agreement()) | Create(object=Receipt()):
            context = agreements.CONTEXT
        case _:
            context = [AS]
    return {"@context": context if len(context) > 1 else AS} | _activity(act)


def with_proof_terms(document: Document) -> Document:
    """The document with the words of an integrity proof (FEP-8b32) in its context, to be signed."""
    stated = document.get("@context", AS)
    return document | {"@context": [*(stated if isinstance(stated, list) else [stated]), PROOF_TERMS]}


def tombstone(id: Iri, former_type: str | None = None, deleted: datetime | None = None) -> Document:
    """What stands where something public was."""
    return {"@context": AS} | _put(_tombstone(Tombstone(id, former_type)), deleted=deleted and moment(deleted))


def collection(id: Iri, total: int | None, first: Iri | None = None, *, items: Sequence[Any] | None = None) -> Document:
    """An OrderedCollection. Without `first` and `items` its members are hidden, which Mastodon understands; with `items` (small ones) they stand inside."""
    document: Document = {"@context": _listed(items or ()), "id": id, "type": "OrderedCollection"}
    return _put(document, totalItems=total, first=first, orderedItems=None if items is None else [_item(item) for item in items])


def collection_page(id: Iri, part_of: Iri, items: Sequence[Any], *, total: int | None = None, next: Iri | None = None, prev: Iri | None = None) -> Document:
    """A page of an OrderedCollection; `items` are IRIs, posts or activities, newest first."""
    document: Document = {"@context": _listed(items), "id": id, "type": "OrderedCollectionPage", "partOf": part_of}
    return _put(document, totalItems=total, prev=prev, next=next, orderedItems=[_item(item) for item in items])


def webfinger(subject: str, actor: Iri, *, profile: Iri | None = None, aliases: Sequence[str] = (), application: bool = False) -> Document:
    """The answer about one actor (RFC 7033): `subject` is acct:name@host; exactly one `self` link, of the exact type Mastodon looks for.

    `application` adds the link by which FEP-d556 finds the instance's own actor.
    """
    links: list[Document] = [{"rel": "http://webfinger.net/rel/profile-page", "type": "text/html", "href": profile}] if profile else []
    links.append({"rel": "self", "type": ACTIVITY_JSON, "href": actor})
    if application:
        links.append({"rel": "https://www.w3.org/ns/activitystreams#Service", "type": ACTIVITY_JSON, "href": actor})
    return {"subject": subject, "aliases": list(dict.fromkeys([*aliases, *([profile] if profile else []), actor])), "links": links}


def host_meta_xml(base: str) -> str:
    """/.well-known/host-meta: where WebFinger is (RFC 6415), for those that ask here first."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<XRD xmlns="http://docs.oasis-open.org/ns/xri/xrd-1.0">'
        f'<Link rel="lrdd" template={quoteattr(base + "/.well-known/webfinger?resource={uri}")}/></XRD>\n'
    )


def host_meta(base: str) -> Document:
    """The same as JSON, /.well-known/host-meta.json."""
    return {"links": [{"rel": "lrdd", "template": f"{base}/.well-known/webfinger?resource={{uri}}"}]}


def nodeinfo_links(base: str) -> Document:
    """/.well-known/nodeinfo: both versions, and the instance's own actor (FEP-2677)."""
    versions = [{"rel": f"http://nodeinfo.diaspora.software/ns/schema/{version}", "href": f"{base}/nodeinfo/{version}"} for version in ("2.0", "2.1")]
    return {"links": [*versions, {"rel": "https://www.w3.org/ns/activitystreams#Application", "href": f"{base}/actor"}]}


def nodeinfo(version: str, *, release: str, name: str, description: str, contact: str = "", open_registrations: bool = False) -> Document:
    """NodeInfo 2.0 or 2.1. How many people use an instance is nobody's business: `usage` is empty, which FEP-0151 allows."""
    software = {"name": "fedmatch", "version": release}
    metadata: Mapping[str, str] = {"nodeName": name, "nodeDescription": description}
    return {
        "version": version,
        "software": software,
        "protocols": ["activitypub"],
        "services": {"inbound": [], "outbound": []},
        "openRegistrations": open_registrations,
        "usage": {"users": {}},
        "metadata": dict(metadata) | ({"contact": contact} if contact else {}),
    }


def nodeinfo_type(version: str) -> str:
    """The media type of a NodeInfo document."""
    return f'application/json; profile="http://nodeinfo.diaspora.software/ns/schema/{version}#"'


def _put(document: Document, **members: Any) -> Document:
    """Adds the members that are there: neither None, "" nor empty lists. 0 and False are."""
    document.update({name: value for name, value in members.items() if value not in (None, "") and (value != [] or name == "orderedItems")})
    return document


def _note(post: Note) -> Document:
    document: Document = {"id": post.id, "type": post.kind, "attributedTo": post.attributed_to}
    document["to"], document["cc"] = list(post.to), list(post.cc)
    _put(document, audience=list(post.audience), url=post.url)
    document |= {"content": post.content, "summary": post.summary, "sensitive": post.sensitive, "inReplyTo": post.in_reply_to}
    if post.language:
        # GoToSocial takes the entry that equals `content`, Mastodon the first key: it is both.
        document["contentMap"] = {post.language: post.content, **dict(post.content_map)}
    original = post.source if post.source is not None else post.proposal and post.proposal.text
    _put(
        document,
        source=original and {"content": original, "mediaType": "text/plain"},
        published=post.published and moment(post.published),
        updated=post.updated and moment(post.updated),
        context=_context(post),
        conversation=post.conversation,
    )
    document["tag"] = [
        *({"type": "Mention", "href": one.href, "name": one.name} for one in post.mentions),
        *(_put({"type": "Hashtag", "name": f"#{one.name}"}, href=one.href) for one in post.hashtags),
        *(_emoji(one) for one in post.emojis),
    ]
    # Servers disagree about `name` and `summary` as the description; both say the same.
    document["attachment"] = [
        _put({"type": "Document"}, mediaType=one.media_type, url=one.url, name=one.description, summary=one.description) for one in post.attachments
    ]
    if post.matter:
        matter = post.matter
        document["matter"] = _put({"type": "Matter", "id": matter.name, "kind": matter.kind, "step": matter.step}, whom=matter.to, words=matter.text)
    if post.poll:
        document |= _poll(post.poll)
    if post.tallies:
        # Objects with their totals and never bare ids: Mastodon digs for the numbers, and a text has no depth.
        document["replies"] = f"{post.id}/replies"
        document["likes"] = {"id": f"{post.id}/likes", "type": "Collection", "totalItems": post.tallies.likes}
        document["shares"] = {"id": f"{post.id}/shares", "type": "Collection", "totalItems": post.tallies.shares}
    if post.proposal:
        document |= _listing(post, post.proposal)
    return document


def _context(post: Note) -> str | None:
    """The name of its thread where it is the address of a collection of ours (FEP-f228), which servers ask for: of public posts that are nothing more."""
    found = None if post.conversation is None or post.proposal is not None else _THREAD.fullmatch(post.conversation)
    return post.conversation if found is not None and post.id.startswith(found[1]) and PUBLIC in post.addressed else None


def _emoji(what: Emoji) -> Document:
    return _put({"type": "Emoji", "name": what.name}, icon=what.icon and {"type": "Image", "url": what.icon})


def _poll(what: Poll) -> Document:
    """The members of a Question (FEP-9967): each option is a Note with a name, its votes the total of its replies."""
    options = [{"type": "Note", "name": one.name, "replies": {"type": "Collection", "totalItems": one.votes}} for one in what.options]
    document: Document = {"anyOf" if what.multiple else "oneOf": options}
    return _put(document, endTime=what.ends and moment(what.ends), closed=what.closed and moment(what.closed), votersCount=what.voters)


def _listing(post: Note, what: Proposal) -> Document:
    """The members that make a post a request or an offer. Numbers are text, as Mitra needs them, and every reader takes both."""
    public = PUBLIC in post.addressed
    ends = what.ends and moment(what.ends)
    document: Document = {"purpose": what.purpose, "publishes": _intent(post.id, what), "unitBased": False}
    _put(
        document,
        proposal=f"{post.id}/proposal" if public else None,   # nobody can fetch the twin of what is not public
        status=what.status,
        category=list(what.categories),
        skill=list(what.skills),
        spokenLanguage=list(what.speaks),
        onlyLanguages=what.only_speaks or None,
        region=what.region,
        helperRegion=what.helper_region,
        onlyRegion=what.only_region or None,
        urgency=what.urgency,
        endTime=ends,
        hasEnd=ends,
        expires=what.expires and moment(what.expires),
        capacity=what.capacity and str(what.capacity),
        need=[_need(need) for need in what.needs],
        titleMap={one.language: one.title for one in what.translations} or None,
        textMap={one.language: one.text for one in what.translations} or None,
        followUpOf=what.follow_up_of,
        vouch=[msgspec.json.decode(one.document) for one in what.vouches if one.document],
        readers=None if what.readers is None else str(what.readers),
        circle=what.circle,
    )
    # GoToSocial lets direct replies pass and holds public ones for us; closing canReply would forbid the direct ones too.
    # Whom canAnnounce leaves out, GoToSocial does not let boost: our own category actors are among the public.
    document["interactionPolicy"] = {
        "canReply": {"automaticApproval": [post.attributed_to], "manualApproval": [PUBLIC]},
        "canAnnounce": {"automaticApproval": [PUBLIC] if public else [post.attributed_to]},
        "canQuote": {"automaticApproval": [post.attributed_to]},
    }
    return document


def _need(need: Need) -> Document:
    return _put({"type": "Need", "name": need.name, "quantity": str(need.quantity)}, equipment=need.equipment or None)


def _intent(owner: Iri, what: Proposal) -> Document:
    """What is asked or offered (FEP-0837): how many in all, and all of them or none while it is open or not. How many are left never leaves."""
    wanted = next(iter((*what.skills, *what.categories)), None)
    whole = str(what.capacity or sum(need.quantity for need in what.needs) or 1)
    document: Document = {"type": "Intent", "id": f"{owner}#primary", "action": "deliverService", "name": what.title}
    _put(document, resourceConformsTo=wanted and vocabulary.iri(wanted), due=what.until and moment(what.until))
    document["resourceQuantity"] = {"hasUnit": "one", "hasNumericalValue": whole}
    document["availableQuantity"] = {"hasUnit": "one", "hasNumericalValue": whole if what.status == "open" else "0"}
    document["finished"] = what.status in CLOSED
    return document


def _activity(act: Activity) -> Document:
    document: Document = {"id": act.id} if act.id else {}
    document |= {"type": _type(act), "actor": act.actor}
    _put(document, published=act.published and moment(act.published), to=list(act.to))
    if act.to or act.cc:
        document["cc"] = list(act.cc)
    match act:
        case Announce(object=object, wraps=wraps):
            document["object"] = {"type": wraps, "object": object} if wraps else object
        case Follow() | Block():
            document["object"] = act.object
        case Like(object=object, emoji=emoji) | EmojiReact(object=object, emoji=emoji):
            document["object"] = object
            if emoji is not None:
                document |= {"content": emoji.name} | ({"tag": [_emoji(emoji)]} if emoji.name.startswith(":") else {})
        case Move() | Add() | Remove():
            document |= {"object": act.object, "target": act.target}
        case Vote(question=question, choices=choices):
            ballots = [
                _put({}, id=act.id and f"{act.id}#vote-{place}")
                | {"type": "Note", "name": name, "attributedTo": act.actor, "inReplyTo": question, "to": list(act.to)}
                for place, name in enumerate(choices, 1)
            ]
            # Mastodon reads one vote an activity, as a single Note with an id; GoToSocial writes lists.
            document["object"] = ballots[0] if len(ballots) == 1 else ballots
        case Offer():
            document["object"] = agreements.write(act.object)
        case Accept() | Reject() | Undo():
            document["object"] = act.object.id if isinstance(act.object, Reference) else _activity(act.object)
            if isinstance(act, Accept) and act.result:
                document["result"] = agreements.write(act.result)
            if isinstance(act, Reject) and act.content:
                document["content"] = act.content
        case Create() | Update() | Delete():
            document["object"] = _object(act.object)
        case Flag():
            document |= {"object": list(act.objects), "content": act.content}
        case Sealed():
            document["sealed"] = sealed.members(act.envelope)
        case Other():
            pass
        case _:
            assert_never(act)
    return document


def _type(act: Activity) -> str:
    match act:
        case Other(kind=kind):
            return kind
        case Vote():
            return "Create"
        case _:
            return type(act).__name__


def _object(thing: Note | ActorDocument | Agreement | Receipt | Tombstone | Reference) -> Any:
    match thing:
        case Note():
            return _note(thing)
        case ActorDocument():
            document = actor(thing)
            del document["@context"]
            return document
        case Agreement():
            return agreements.write(thing)
        case Receipt():
            return agreements.write_receipt(thing)
        case Tombstone():
            return _tombstone(thing)
        case Reference():
            return thing.id
        case _:
            assert_never(thing)


def _tombstone(thing: Tombstone) -> Document:
    return _put({"id": thing.id, "type": "Tombstone"}, formerType=thing.former_type)


def _item(item: Any) -> Any:
    """A member of a collection: an IRI, a post, an activity, or a document that is written already."""
    match item:
        case str() | dict():
            return item
        case Note():
            return _note(item)
        case _:
            return _activity(item)


def _listed(items: Sequence[Any]) -> Any:
    """The context that the members of a collection need."""
    posts = [item if isinstance(item, Note) else getattr(item, "object", None) for item in items]
    if any(isinstance(post, Note) and post.proposal for post in posts):
        return LISTING_CONTEXT
    return NOTE_CONTEXT if any(isinstance(post, Note) for post in posts) else AS
