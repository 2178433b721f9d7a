"""What do the others send? Remote actors with real keys, and Creates as Mastodon writes them, 4.4 kB, signed for real."""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_der_private_key

from actors import follows, hosts, known, local
from actors.instance import Instance
from actors.known import Actor
from schemas.objects import ActorDocument, Key
from schemas.reading import Iri
from schemas.storage import Transaction

PUBLIC: Final = "https://www.w3.org/ns/activitystreams#Public"
WORDS: Final = (
    "Our radio station reaches three provinces on medium wave, and the transmitter needs a technician who can work at night. "
    "If you know somebody who repaired one before, tell us how to ask them safely; we will answer through people you already trust. "
)
CONTEXT: Final[list[Any]] = [
    "https://www.w3.org/ns/activitystreams",
    {
        "ostatus": "http://ostatus.org#",
        "atomUri": "ostatus:atomUri",
        "inReplyToAtomUri": "ostatus:inReplyToAtomUri",
        "conversation": "ostatus:conversation",
        "sensitive": "as:sensitive",
        "toot": "http://joinmastodon.org/ns#",
        "votersCount": "toot:votersCount",
        "Hashtag": "as:Hashtag",
        "gts": "https://gotosocial.org/ns#",
        "interactionPolicy": {"@id": "gts:interactionPolicy", "@type": "@id"},
        "canQuote": {"@id": "gts:canQuote", "@type": "@id"},
        "automaticApproval": {"@id": "gts:automaticApproval", "@type": "@id"},
    },
]


@dataclass(frozen=True, slots=True)
class Writer:
    """One remote actor: its id, and its RSA key as PKCS#8 DER in base64."""

    uri: str
    key: str

    @property
    def private(self) -> rsa.RSAPrivateKey:
        found = load_der_private_key(base64.b64decode(self.key), None, unsafe_skip_rsa_key_validation=True)
        assert isinstance(found, rsa.RSAPrivateKey)
        return found

    @property
    def public(self) -> bytes:
        """The public half as SPKI DER."""
        return self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def make_writer(number: int) -> Writer:
    """A writer on a host of its own (an RSA key takes about 80 ms)."""
    key = rsa.generate_private_key(65537, 2048)
    return Writer(f"https://peer{number}.example/users/writer", base64.b64encode(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode())


def note(author: str, number: int, when: datetime) -> dict[str, Any]:
    """A post as Mastodon 4 writes it, with two hashtags, in one language."""
    base = author.partition("/users/")[0]
    uri = f"{author}/statuses/{number}"
    at = when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    tags = "".join(f' <a href="{base}/tags/{tag}" class="mention hashtag" rel="tag">#<span>{tag}</span></a>' for tag in ("radio", "mutualaid"))
    content = f"<p>{number}. {WORDS * 2}</p><p>{WORDS}{tags}</p>"
    return {
        "id": uri,
        "type": "Note",
        "summary": None,
        "inReplyTo": None,
        "published": at,
        "url": f"{base}/@writer/{number}",
        "attributedTo": author,
        "to": [PUBLIC],
        "cc": [f"{author}/followers"],
        "sensitive": False,
        "atomUri": uri,
        "inReplyToAtomUri": None,
        "conversation": f"tag:{base.removeprefix('https://')},2026-01-01:objectId={number}:objectType=Conversation",
        "content": content,
        "contentMap": {"en": content},
        "interactionPolicy": {"canQuote": {"automaticApproval": [PUBLIC]}},
        "attachment": [],
        "tag": [{"type": "Hashtag", "href": f"{base}/tags/{tag}", "name": f"#{tag}"} for tag in ("radio", "mutualaid")],
        "replies": {
            "id": f"{uri}/replies",
            "type": "Collection",
            "first": {"type": "CollectionPage", "next": f"{uri}/replies?only_other_accounts=true&page=true", "partOf": f"{uri}/replies", "items": []},
        },
        "likes": {"id": f"{uri}/likes", "type": "Collection", "totalItems": 0},
        "shares": {"id": f"{uri}/shares", "type": "Collection", "totalItems": 0},
    }


def create(author: str, number: int, when: datetime) -> bytes:
    """The Create of `note` as it goes over the wire."""
    post = note(author, number, when)
    activity = {
        "@context": CONTEXT,
        "id": f"{post['id']}/activity",
        "type": "Create",
        "actor": author,
        "published": post["published"],
        "to": post["to"],
        "cc": post["cc"],
        "object": post,
    }
    return json.dumps(activity, ensure_ascii=False, separators=(",", ":")).encode()


def signed_string(host: str, path: str, body: bytes, when: datetime) -> tuple[str, str, str]:
    """Date, Digest, and what a draft-cavage signature of a POST is over."""
    date = format_datetime(when.astimezone(UTC), usegmt=True)
    digest = "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()
    return date, digest, f"(request-target): post {path}\nhost: {host}\ndate: {date}\ndigest: {digest}\ncontent-type: application/activity+json"


def request(key: rsa.RSAPrivateKey, author: str, host: str, path: str, body: bytes, when: datetime) -> bytes:
    """A whole signed HTTP/1.1 request."""
    date, digest, text = signed_string(host, path, body, when)
    signature = base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), SHA256())).decode()
    covered = "(request-target) host date digest content-type"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: http.rb/5.3.1 (Mastodon/4.4.2; +https://peer.example/)\r\n"
        f"Accept-Encoding: gzip\r\nDate: {date}\r\n"
        f"Digest: {digest}\r\nContent-Type: application/activity+json\r\nContent-Length: {len(body)}\r\n"
        f'Signature: keyId="{author}#main-key",algorithm="rsa-sha256",headers="{covered}",signature="{signature}"\r\n\r\n'
    )
    return head.encode() + body


async def introduce(instance: Instance, writers: list[Writer], reader: str = "reader") -> Actor:
    """Makes a local person who follows all the writers, as if each had been fetched and had accepted."""
    someone = await local.create(instance, reader)
    for writer in writers:
        await instance.database.write(_meet, instance, someone, writer)
    return someone


async def _meet(tx: Transaction, instance: Instance, reader: Actor, writer: Writer) -> None:
    actor = await remote(tx, instance, writer.uri, writer.public)
    follow = await follows.request(tx, instance, reader, actor)
    assert follow is not None
    await tx.execute("update follow set state = 'accepted' where follower_id = :reader and followed_id = :actor", reader=reader.id, actor=actor.id)


async def remote(tx: Transaction, instance: Instance, uri: str, public: bytes, *, inbox: str | None = None) -> Actor:
    """A remote actor, stored as if fetched."""
    host = hosts.authority(uri)
    document = ActorDocument(
        id=Iri(uri),
        kind="Person",
        username=uri.rpartition("/")[2],
        inbox=Iri(inbox or f"{uri}/inbox"),
        shared_inbox=Iri(inbox) if inbox else Iri(f"{uri.partition('/users/')[0]}/inbox"),
        followers=Iri(f"{uri}/followers"),
        keys=(Key(Iri(f"{uri}#main-key"), Iri(uri), "rsa", public),),
    )
    return await known.store(tx, instance, document, host, await hosts.ensure(tx, instance, host))


def at(number: int, now: datetime) -> datetime:
    """When post `number` was written: a second each, so that they have an order."""
    return now - timedelta(seconds=max(0, 600 - number % 600))
