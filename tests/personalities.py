"""What do the servers that are out there take, show and refuse? Fake peers that judge as Mastodon, GoToSocial, Misskey, Lemmy, Pleroma, Mitra, Pixelfed,
Takahe, snac and Hollo do. Of Pleroma, Mitra and Pixelfed little is written down: their rules are those few, and what everybody asks for.

Every rule names the paragraph of protocol.md it comes from (docs/FEDERATION.md tells what follows from them for us). A personality reads our actors and
activities by its own rules: what it shows its people stands in `shown`, what it turned away or silently dropped in `refused`, with the reason.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from actors.keys import multibase_bytes
from actors.signatures import proofs
from tests.fakepeer import AP, AS2, PUBLIC, FakePeer
from tests.wire import Asked, Reply, http, reply_json

PROFILE = f'application/ld+json; profile="{AS2}"'
SPELLINGS = {PUBLIC, "as:Public", "Public"}
Document = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """A post as the people of that server see it."""

    id: str
    author: str
    text: str
    seen_by: str
    """`public`, `unlisted`, `followers`, or `direct`."""
    warning: str | None = None
    language: str | None = None
    published: str | None = None
    updated: str | None = None
    boosted_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """What was answered to an activity that is not shown, and why."""

    status: int
    why: str
    activity: Document


class Drop(Exception):
    """Raised by a rule: the activity ends here, with this status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


def host(url: Any) -> str:
    return urlsplit(url).netloc.lower() if isinstance(url, str) else ""


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


# Actors: each rule gives the reason against a document fetched from `url`, or None.

ActorRule = Callable[[Document, str], str | None]


def names_activitystreams(actor: Document, url: str) -> str | None:
    """2.1: Mastodon wants the ActivityStreams context literally, as the string or one of a list."""
    return None if AS2 in listed(actor.get("@context")) else "the context does not name ActivityStreams"


def has_context(actor: Document, url: str) -> str | None:
    """2.1: GoToSocial wants some context."""
    return None if actor.get("@context") else "no context"


def is_an_actor(actor: Document, url: str) -> str | None:
    """2.1: one of the five actor types; 6.3: a string is read by everybody."""
    return None if actor.get("type") in {"Person", "Service", "Application", "Group", "Organization"} else f"type {actor.get('type')}"


def is_at_its_id(actor: Document, url: str) -> str | None:
    """2.1: the id is the address it was fetched from."""
    return None if actor.get("id") == url else "its id is not its address"


def has_inbox(actor: Document, url: str) -> str | None:
    """2.1: an inbox with an http(s) address."""
    return None if str(actor.get("inbox", "")).startswith(("https://", "http://")) else "no inbox"


def has_name(actor: Document, url: str) -> str | None:
    """2.1 and 14.8: preferredUsername, plain ASCII without blanks."""
    name = actor.get("preferredUsername")
    return None if isinstance(name, str) and name.isascii() and name and " " not in name else "no preferredUsername"


def has_plain_name(actor: Document, url: str) -> str | None:
    """1.1: Misskey takes at most 128 letters of `\\w([\\w-.]*\\w)?`."""
    name = str(actor.get("preferredUsername", ""))
    return None if len(name) <= 128 and name.strip("-.") == name and name.replace("-", "").replace(".", "").replace("_", "").isalnum() else "preferredUsername"


def keeps_to_its_host(actor: Document, url: str) -> str | None:
    """2.1: Misskey refuses an actor whose inbox, outbox, followers or following lies on another host."""
    return next((member for member in ("inbox", "outbox", "followers", "following") if member in actor and host(actor[member]) != host(actor["id"])), None)


def key_is_its_own(actor: Document, url: str) -> str | None:
    """2.1: publicKey names the actor as owner, lies on its host, and is RSA of 2,048 bits or more (2.2)."""
    for key in listed(actor.get("publicKey")):
        if not isinstance(key, dict) or key.get("owner") != actor.get("id") or host(key.get("id")) != host(actor.get("id")):
            return "its key is not its own"
        public = load_pem_public_key(key["publicKeyPem"].encode())
        if not isinstance(public, RSAPublicKey) or public.key_size < 2048:
            return "its key is no RSA key of 2,048 bits"
    return None if actor.get("publicKey") else "no publicKey"


def name_is_a_text(actor: Document, url: str) -> str | None:
    """2.1: Misskey refuses a name that is no string."""
    return None if isinstance(actor.get("name", ""), str) else "name is no text"


def url_is_at_home(actor: Document, url: str) -> str | None:
    """2.1: Mastodon drops a `url` on another host than the id; an actor of ours never loses its page that way."""
    return None if "url" not in actor or host(actor["url"]) == host(actor["id"]) else "url on another host"


def locked_is_a_boolean(actor: Document, url: str) -> str | None:
    """4.3: always a real boolean, for what GoToSocial makes of anything else."""
    return None if isinstance(actor.get("manuallyApprovesFollowers", False), bool) else "manuallyApprovesFollowers is no boolean"


# Media types of what they fetch (1.6).


def mastodon_reads(content_type: str) -> bool:
    """1.6: application/activity+json whatever its parameters, or application/ld+json with the profile."""
    kind = content_type.partition(";")[0].strip()
    return kind == AP or (kind == "application/ld+json" and AS2 in content_type)


def gotosocial_reads(content_type: str) -> bool:
    """1.6: the same, but any other charset than utf-8 fails."""
    return mastodon_reads(content_type) and ("charset" not in content_type or "charset=utf-8" in content_type.lower())


def misskey_reads(content_type: str) -> bool:
    """1.6: it starts with application/activity+json, or with application/ld+json; and holds the namespace."""
    return content_type.startswith(AP) or (content_type.startswith("application/ld+json;") and AS2 in content_type)


def lemmy_reads(content_type: str) -> bool:
    """1.6: exactly one of three strings."""
    return content_type.lower() in {AP, PROFILE, f"{AP}; charset=utf-8"}


@dataclass(frozen=True)
class Manner:
    """What sets one server apart from another."""

    reads_media: Callable[[str], bool] = mastodon_reads
    actor_rules: tuple[ActorRule, ...] = (is_an_actor, is_at_its_id, has_inbox, has_name, key_is_its_own)
    most_body: int = 1024 * 1024
    most_document: int = 1024 * 1024
    schemes: tuple[str, ...] = ("cavage",)
    wants_signed_gets: bool = False
    confirms_handles: bool = False
    taken: int = 202
    proofs: bool = False
    """Whether it believes the author's FEP-8b32 proof in what another actor brings."""
    types: frozenset[str] = frozenset({"Note", "Question"})
    quirks: tuple[Callable[["Personality", Document], None], ...] = field(default=())
    """Looked at before anything is done; each may raise `Drop`."""


class Personality(FakePeer):
    """A fake peer that judges. Its own actors are those of any fake peer; `actor` signs its look-ups."""

    manner: ClassVar[Manner] = Manner()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.reads = tuple(self.manner.schemes)  # type: ignore[assignment]  # any container of names does
        self.guarded = self.manner.wants_signed_gets
        self.shown: dict[str, Shown] = {}
        self.refused: list[Refusal] = []
        self.followers: dict[str, set[str]] = {}
        self.fetched: dict[str, Document] = {}
        self._carried: dict[int, str] = {}

    async def start(self, port: int = 0, name: str = "localhost", address: str = "127.0.0.1") -> "Personality":
        await super().start(port, name, address)
        self.actor("actor", "Application")
        return self

    # How it looks others up.

    async def _key(self, key_id: str) -> str:
        """The key as PEM, or why it is not believed."""
        owner = key_id.partition("#")[0]
        if "#" not in key_id and self.manner.reads_media is lemmy_reads:
            return "keyId without a fragment"  # 3.2: Lemmy's parser requires it
        if key_id not in self._keys:
            actor = await self.look_up(owner)
            if isinstance(actor, str):
                return actor
            found = next((key for key in listed(actor["publicKey"]) if key["id"] == key_id), None)
            if found is None:
                return "the actor does not list the key"
            self._keys[key_id] = found["publicKeyPem"]
        return self._keys[key_id]

    async def look_up(self, url: str) -> Document | str:
        """The actor at `url`, as this server's rules read it; or the reason against it."""
        answer = await http("GET", url, [("Accept", f"{AP}, {PROFILE}"), *await self._own_signature(url)])
        if answer.status != 200:
            return f"answered {answer.status}"
        if not self.manner.reads_media(answer.header("content-type")):
            return f"media type {answer.header('content-type')}"
        if len(answer.body) > self.manner.most_document:
            return "too large"
        actor: Document = answer.json
        for rule in self.manner.actor_rules:
            if why := rule(actor, url):
                return why
        if self.manner.confirms_handles and (why := await self._handle(actor)):
            return why
        self.fetched[url] = actor
        return actor

    async def _handle(self, actor: Document) -> str | None:
        """1.2: subject and self link lead back to the id, verbatim."""
        name, at = actor["preferredUsername"], host(actor["id"])
        answer = await http("GET", f"http://{at}/.well-known/webfinger?resource=acct:{name}@{at}", [("Accept", "application/jrd+json, application/json")])
        if answer.status != 200 or answer.header("content-type").partition(";")[0] not in {"application/jrd+json", "application/json"}:
            return "WebFinger"
        links = [link["href"] for link in answer.json["links"] if link["rel"] == "self" and link["type"] in {AP, PROFILE}]
        return None if answer.json["subject"] and links == [actor["id"]] else "WebFinger leads elsewhere"

    # How it takes activities.

    async def _signature(self, asked: Asked) -> str:
        seen = await super()._signature(asked)
        if seen == "valid" and asked.method == "POST" and (why := await self._of_another(asked)):
            self._carried[id(asked)] = why
        return seen

    async def _of_another(self, asked: Asked) -> str:
        """4.1 step 8: what somebody else signed counts only by a proof of its actor; why it does not, else nothing."""
        activity, actor = asked.json, str(asked.json.get("actor"))
        stated = re.search(r'key[iI]d="([^"]+)"', asked.header("signature-input") or asked.header("signature"))
        if stated is None or stated[1].partition("#")[0] == actor:
            return ""
        if not self.manner.proofs:
            return "signed by another actor"
        document = await self.look_up(actor)
        proof = None if isinstance(document, str) else proofs.read(activity, self.now())
        if isinstance(document, str) or proof is None:
            return f"no proof: {document if isinstance(document, str) else 'none'}"
        key = next((one for one in listed(document.get("assertionMethod")) if isinstance(one, dict) and one["id"] == proof.method), None)
        if key is None or key.get("controller") != actor:
            return "the actor does not list the key of the proof"

        def verifies(signature: bytes, data: bytes) -> bool:
            try:
                Ed25519PublicKey.from_public_bytes(multibase_bytes(key["publicKeyMultibase"])[2:]).verify(signature, data)
            except InvalidSignature:
                return False
            return True

        return "" if proof.holds(verifies) else "the proof does not hold"

    def _reply(self, asked: Asked, signature: str) -> Reply:
        usual = super()._reply(asked, signature)
        if asked.method != "POST" or usual.status >= 300 or usual.hang or usual.drop:
            return usual
        try:
            if why := self._carried.pop(id(asked), ""):
                raise Drop(202, why)
            self._admit(asked)
            self.judge(asked.json)
        except Drop as drop:
            self.refused.append(Refusal(drop.status, drop.why, asked.json))
            return reply_json({"error": drop.why}, drop.status)
        return Reply(self.manner.taken)

    def _admit(self, asked: Asked) -> None:
        if len(asked.body) > self.manner.most_body:
            raise Drop(413, "too large")  # 3.2, decision 9: Misskey reads 64 KiB
        if not self.manner.reads_media(asked.header("content-type")):
            raise Drop(406, "media type")  # 4.1 step 1

    def judge(self, activity: Document) -> None:
        """Takes an activity by this server's rules; raises `Drop` where it does not."""
        for quirk in self.manner.quirks:
            quirk(self, activity)
        self._take(activity)

    def _take(self, activity: Document) -> None:
        """What the activity does here. Dropped silently (4.1: 202): raised as `Drop` with 202."""
        match activity.get("type"):
            case "Create":
                self._create(activity)
            case "Update":
                self._update(activity)
            case "Delete":
                self._delete(activity)
            case "Announce":
                if isinstance(activity["object"], str) and activity["object"] in self.shown:
                    old = self.shown[activity["object"]]
                    self.shown[old.id] = replace(old, boosted_by=(*old.boosted_by, activity["actor"]))
            case "Follow":
                self.followers.setdefault(activity["object"], set()).add(activity["actor"])
            case "Reject":
                self._reject(activity)
            case "Undo" if isinstance(activity["object"], dict):
                self._undo(activity)
            case "Undo":
                raise Drop(202, "an Undo of a bare id")  # 4.3, 14.5
            case _:
                pass

    def _create(self, activity: Document) -> None:
        note = activity["object"]
        if not isinstance(note, dict) or note.get("type") not in self.manner.types:
            raise Drop(202, f"type {note.get('type') if isinstance(note, dict) else note}")
        # Decision 7, 4.2: one author, a string, the sender; its id on the sender's host.
        if note.get("attributedTo") != activity["actor"] or host(note.get("id")) != host(activity["actor"]):
            raise Drop(202, "attributed to somebody else")
        if note["id"] not in self.shown:
            self.shown[note["id"]] = self.render(note)

    def _update(self, activity: Document) -> None:
        new = activity["object"]
        if not isinstance(new, dict) or new.get("type") not in self.manner.types:
            return
        old = self.shown.get(new["id"])
        if old is None:
            self.shown[new["id"]] = self.render(new)  # 4.3: an unknown object is a Create
            return
        if old.author != activity["actor"]:
            raise Drop(202, "not its author")
        # 14.4: `updated` must be there and grow.
        if not new.get("updated") or new["updated"] <= (old.updated or old.published or ""):
            raise Drop(202, "updated does not grow")
        self.shown[old.id] = replace(self.render(new), boosted_by=old.boosted_by)

    def _delete(self, activity: Document) -> None:
        gone = activity["object"]["id"] if isinstance(activity["object"], dict) else activity["object"]
        if gone == activity["actor"]:
            self.shown = {uri: post for uri, post in self.shown.items() if post.author != gone}
        elif gone in self.shown and self.shown[gone].author == activity["actor"]:
            del self.shown[gone]

    async def catch_up(self) -> None:
        """Fetches the posts that were announced and are not here, signed, as every server does with a boost of what it does not know."""
        announced = [one.activity for one in self.log if one.asked.method == "POST" and one.status < 300 and one.activity.get("type") == "Announce"]
        for activity in announced:
            uri = activity["object"]
            if uri not in self.shown:
                answer = await http("GET", uri, [("Accept", f"{AP}, {PROFILE}"), *await self._own_signature(uri)])
                if answer.status == 200 and answer.json.get("type") in self.manner.types:
                    self.shown[uri] = self.render(answer.json)
            if uri in self.shown and activity["actor"] not in self.shown[uri].boosted_by:
                self.judge(activity)

    def _reject(self, activity: Document) -> None:
        """14.2: nothing becomes of the Reject of an answer; GoToSocial alone deletes it."""

    def _undo(self, activity: Document) -> None:
        inner = activity["object"]
        if inner.get("type") == "Announce" and inner["object"] in self.shown:
            # 14.5: the boost is hidden, the post stays.
            old = self.shown[inner["object"]]
            self.shown[old.id] = replace(old, boosted_by=tuple(one for one in old.boosted_by if one != activity["actor"]))

    # How it shows a post.

    def render(self, note: Document) -> Shown:
        """6.1: what people see of it."""
        return Shown(
            id=note["id"],
            author=note["attributedTo"],
            text=note.get("content") or next(iter((note.get("contentMap") or {}).values()), ""),
            seen_by=self.audience(note),
            warning=note.get("summary") or None,
            language=self.language(note),
            published=note.get("published"),
            updated=note.get("updated"),
        )

    def audience(self, note: Document) -> str:
        """6.1: Public in `to`, in `cc`, the author's followers, or nobody but the named."""
        if SPELLINGS & set(listed(note.get("to"))):
            return "public"
        if SPELLINGS & set(listed(note.get("cc"))):
            return "unlisted"
        return "followers" if any(str(one).endswith("/followers") for one in (*listed(note.get("to")), *listed(note.get("cc")))) else "direct"

    def language(self, note: Document) -> str | None:
        """6.1: Mastodon takes the first key of contentMap."""
        return next(iter(note.get("contentMap") or {}), None)


# Quirks: what one server alone does.


def type_is_a_string(_: Personality, activity: Document) -> None:
    """6.3: Mastodon reads an activity's type only as a string."""
    if not isinstance(activity.get("type"), str):
        raise Drop(202, "type is no string")


def commerce_is_an_error(_: Personality, activity: Document) -> None:
    """14.9: GoToSocial answers 500 to Update(Agreement) and Create(Proposal)."""
    thing = activity.get("object")
    if isinstance(thing, dict) and thing.get("type") in {"Agreement", "Proposal", "Commitment", "Intent"}:
        raise Drop(500, f"{activity.get('type')} of {thing['type']}")


def agreements_are_malformed(_: Personality, activity: Document) -> None:
    """14.9: Hollo answers 400 to any embedded Agreement."""
    if '"Agreement"' in str(activity).replace("'", '"'):
        raise Drop(400, "an Agreement")


def direct_needs_a_mention(peer: Personality, activity: Document) -> None:
    """14.15: GoToSocial drops a direct post without a Mention of one of its people."""
    note = activity.get("object")
    if activity.get("type") == "Create" and isinstance(note, dict) and peer.audience(note) == "direct":
        mentioned = {tag.get("href") for tag in listed(note.get("tag")) if tag.get("type") == "Mention"}
        if not any(str(one).startswith(f"{peer.base}/") for one in mentioned):
            raise Drop(202, "a direct post without a Mention")


def published_is_for_ever(peer: Personality, activity: Document) -> None:
    """14.3: GoToSocial refuses an Update that changes `published`."""
    note = activity.get("object")
    if (
        activity.get("type") == "Update"
        and isinstance(note, dict)
        and note.get("id") in peer.shown
        and peer.shown[note["id"]].published != note.get("published")
    ):
        raise Drop(400, "published changed")


def boosts_need_leave(peer: Personality, activity: Document) -> None:
    """14.2: GoToSocial drops a boost, even the author's own, whom canAnnounce names neither by id nor as Public."""
    if activity.get("type") != "Announce" or activity["object"] not in peer.shown:
        return
    policy = peer.policies.get(activity["object"])  # type: ignore[attr-defined]  # GoToSocial keeps them
    if policy and "canAnnounce" in policy:
        allowed = policy["canAnnounce"].get("automaticApproval", [])
        if PUBLIC not in allowed and activity["actor"] not in allowed:
            raise Drop(202, "canAnnounce does not name the booster")


def public_in_full_only(_: Personality, activity: Document) -> None:
    """13: snac compares with the full IRI; `as:Public` addresses nobody there."""
    note = activity.get("object")
    if activity.get("type") == "Create" and isinstance(note, dict):
        named = {*listed(note.get("to")), *listed(note.get("cc"))}
        if {"as:Public", "Public"} & named:
            raise Drop(202, "Public in short")


def a_name_is_a_vote(_: Personality, activity: Document) -> None:
    """14.1: snac takes any Note with `name` for a vote in a poll and hides it."""
    note = activity.get("object")
    if activity.get("type") == "Create" and isinstance(note, dict) and note.get("type") == "Note" and "name" in note:
        raise Drop(202, "a vote")


class Mastodon(Personality):
    """4.6: M46."""

    manner = Manner(
        actor_rules=(names_activitystreams, is_an_actor, is_at_its_id, has_inbox, has_name, key_is_its_own, url_is_at_home),
        schemes=("cavage", "rfc9421"),
        confirms_handles=True,
        types=frozenset({"Note", "Question", "Image", "Audio", "Video", "Article", "Page", "Event"}),  # 6.3
        quirks=(type_is_a_string,),
    )


class Mastodon47(Mastodon):
    """4.7: M47. It believes proofs in what is forwarded (3.6)."""

    manner = replace(Mastodon.manner, proofs=True)


class GoToSocial(Personality):
    """0.20: GTS, and sections 13 and 14."""

    manner = Manner(
        reads_media=gotosocial_reads,
        actor_rules=(has_context, is_an_actor, is_at_its_id, has_inbox, has_name, key_is_its_own, locked_is_a_boolean),
        wants_signed_gets=True,  # 13
        confirms_handles=True,  # 14.8
        types=frozenset({"Note", "Question", "Article", "Page", "Event", "Image", "Video", "Audio"}),
        quirks=(commerce_is_an_error, direct_needs_a_mention, published_is_for_ever, boosts_need_leave),
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.policies: dict[str, Document] = {}

    def render(self, note: Document) -> Shown:
        # 14.1: `name` becomes a content warning that folds the text away.
        if "interactionPolicy" in note:
            self.policies[note["id"]] = note["interactionPolicy"]
        shown = super().render(note)
        return replace(shown, warning=note.get("summary") or note.get("name") or None)

    def language(self, note: Document) -> str | None:
        """14.11: the key whose value is byte for byte the content."""
        return next((tag for tag, text in (note.get("contentMap") or {}).items() if text == note.get("content")), None)

    def _reject(self, activity: Document) -> None:
        # 14.2: by the author of what it answers, about a post of ours.
        said = activity["object"]["id"] if isinstance(activity["object"], dict) else activity["object"]
        own = self.documents.get(said.removeprefix(self.base), {})
        parent = own.get("inReplyTo")
        if parent in self.shown and self.shown[parent].author == activity["actor"]:
            del self.documents[said.removeprefix(self.base)]

    def may_reply(self, note_id: str, *, to_all: bool) -> str:
        """14.2: `sent` where canReply lets it go to us, `held` where it goes to our inbox alone, `forbidden` where not even a direct answer goes."""
        allowed = self.policies.get(note_id, {}).get("canReply")
        if allowed is None:
            return "sent"
        if PUBLIC in allowed.get("automaticApproval", []):
            return "sent"
        if PUBLIC in allowed.get("manualApproval", []):
            return "held" if to_all else "sent"
        return "forbidden"


class Misskey(Personality):
    """2025.x: MK, CP."""

    manner = Manner(
        reads_media=misskey_reads,
        actor_rules=(is_an_actor, is_at_its_id, has_inbox, has_plain_name, keeps_to_its_host, key_is_its_own, name_is_a_text),
        most_body=64 * 1024,
        most_document=256 * 1024,  # decision 9
        types=frozenset({"Note", "Question", "Article", "Audio", "Document", "Image", "Page", "Video", "Event"}),
    )


class Lemmy(Personality):
    """0.19: LM, LF."""

    manner = Manner(
        reads_media=lemmy_reads,
        actor_rules=(is_an_actor, is_at_its_id, has_inbox, has_name, key_is_its_own),
        taken=200,
        types=frozenset({"Note", "Page", "Article"}),
        quirks=(type_is_a_string,),
    )


class Pleroma(Personality):
    """2021: sections 2.1, 3.1, 6.1 and 6.6. It compares types as strings, and its validator rejects what it does not know."""

    manner = Manner(
        actor_rules=(has_context, is_an_actor, is_at_its_id, has_inbox, has_name, key_is_its_own),
        taken=200,
        types=frozenset({"Note", "Question", "Article", "Page", "Event", "Audio", "Video"}),  # 6.3, 6.4
        quirks=(type_is_a_string,),
    )

    def audience(self, note: Document) -> str:
        # 6.1: `directMessage` of litepub marks a direct message; without it the addresses say so.
        return "direct" if note.get("directMessage") is True else super().audience(note)

    def _create(self, activity: Document) -> None:
        # 6.6: a list of types is rejected by its validator, whatever is in it.
        note = activity["object"]
        if isinstance(note, dict) and not isinstance(note.get("type"), str):
            raise Drop(400, "the type of the object is no string")
        super()._create(activity)


class Mitra(Personality):
    """4: sections 2.2, 3.3, 3.6 and 6.6. It understands Proposals; a Note with the members of one is a Note, as FEP-0837 permits."""

    manner = Manner(
        actor_rules=(has_context, is_an_actor, is_at_its_id, has_inbox, has_name, key_is_its_own),
        schemes=("cavage", "rfc9421"),
        proofs=True,
        types=frozenset({"Note", "Question", "Article", "Page", "Event", "Image", "Video", "Audio"}),
        quirks=(type_is_a_string,),
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.proposals: dict[str, Document] = {}

    def _create(self, activity: Document) -> None:
        note = activity["object"]
        if isinstance(note, dict) and note.get("type") == "Proposal":
            self.proposals[note["id"]] = note
            return
        super()._create(activity)


class Pixelfed(Personality):
    """0.12: sections 3.3 and 6.1. It reads draft-cavage alone."""

    manner = Manner(
        actor_rules=(names_activitystreams, is_an_actor, is_at_its_id, has_inbox, has_name, key_is_its_own, url_is_at_home),
        confirms_handles=True,
        taken=200,
        types=frozenset({"Note", "Question"}),
        quirks=(type_is_a_string,),
    )


class Takahe(Personality):
    """0.11: sections 13 and 14."""

    manner = Manner(actor_rules=(has_context, is_an_actor, is_at_its_id, has_inbox, has_name, key_is_its_own), confirms_handles=True)

    def render(self, note: Document) -> Shown:
        # 14.1: `name` becomes a content warning here too.
        shown = super().render(note)
        return replace(shown, warning=note.get("summary") or note.get("name") or None)


class Snac(Personality):
    """2.94: sections 13 and 14."""

    manner = Manner(actor_rules=(is_an_actor, is_at_its_id, has_inbox, has_name, key_is_its_own), quirks=(public_in_full_only, a_name_is_a_vote))

    def _reply(self, asked: Asked, signature: str) -> Reply:
        """13: it answers 202 first and verifies later: what does not hold is lost without a word."""
        if asked.method == "POST" and signature != "valid" and not self._replies[asked.path] and asked.path not in self._always:
            self.refused.append(Refusal(202, signature, asked.json))
            return Reply(202)
        return super()._reply(asked, signature)

    def render(self, note: Document) -> Shown:
        # 14.11: contentMap without content is an empty text.
        return replace(super().render(note), text=note.get("content") or "")

    def _update(self, activity: Document) -> None:
        self._in_cc(activity)
        super()._update(activity)

    def _delete(self, activity: Document) -> None:
        # 14.7: after Delete(actor) the posts stay.
        gone = activity["object"]["id"] if isinstance(activity["object"], dict) else activity["object"]
        if gone != activity["actor"]:
            super()._delete(activity)

    def _in_cc(self, activity: Document) -> None:
        """14.6: the followers of a boosting actor get an Update only if the post's `cc` names that actor."""
        note = activity["object"]
        if not isinstance(note, dict) or note.get("id") not in self.shown:
            return
        boosters = set(self.shown[note["id"]].boosted_by)
        if boosters and not boosters & set(listed(note.get("cc"))) and not self.followers.get(activity["actor"]):
            raise Drop(202, "cc does not name the booster")


class Hollo(Personality):
    """0.6.12 (Fedify 1): sections 13 and 14."""

    manner = Manner(
        actor_rules=(has_context, is_an_actor, is_at_its_id, has_inbox, has_name, key_is_its_own), quirks=(agreements_are_malformed,), confirms_handles=True
    )

    async def _key(self, key_id: str) -> str:
        # 14.14: it refetches the actor at nearly every activity; 14.7: 401 when that is gone.
        self._keys.clear()
        return await super()._key(key_id)

    def language(self, note: Document) -> str | None:
        """14.11: none when both content and contentMap are there."""
        return None if note.get("content") else super().language(note)


ALL: tuple[type[Personality], ...] = (Mastodon, GoToSocial, Misskey, Lemmy, Pleroma, Mitra, Pixelfed, Takahe, Snac, Hollo)
"""Everyone; the first four are the big ones."""
