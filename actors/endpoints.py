"""What do others find here about our actors? WebFinger, host-meta, NodeInfo, actor documents and their collections, with the status codes peers rely on.

In signed-only mode (and with an allow list, where strangers get nothing) every ActivityPub GET without a signature is the same 401, whether the thing exists
or not; only the instance actor is always open, or two such servers could never fetch each other's keys.
"""

from collections.abc import Awaitable, Callable
from html import escape
from importlib.metadata import version
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from quart import Blueprint, Response, abort, request

from actors import known, local, trust
from actors.called import Busy, Called
from actors.hosts import BadUrl, host_name, origin
from actors.keys import NoKey
from actors.known import Actor
from actors.media import ACTIVITY_JSON
from actors.media import wants_activitypub as wants_activitypub
from actors.signatures import proofs
from actors.signatures.errors import HostRefused, KeyUnavailable, SignatureError
from actors.signatures.request import NeedsFetch, Request, Signer, Unsigned, claimed_keys, signer
from actors.vault import Locked
from schemas import documents
from schemas.objects import ActorDocument
from schemas.reading import Document
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

ACTOR_AGE_S: Final = 180
APPLICATION_AGE_S: Final = 600
LONGEST_RESOURCE: Final = 2048

Html = Callable[[str, Actor], Awaitable[Response]]
"""Renders the page of a thing ("actor") for people; the product registers it."""


Parting = Callable[[Transaction, int], Awaitable[bool]]
"""Whether something an actor of ours said still waits to be delivered; whoever delivers knows, and the product registers it."""


def ap_response(document: Document, *, status: int = 200, max_age_s: int = ACTOR_AGE_S, by_signer: bool = False) -> Response:
    """A document as every peer takes it: exactly `application/activity+json`, readable from any origin, `Vary: Accept`.

    `by_signer`: what it says, or that it is there at all, depends on who signed; then no shared cache may keep it.
    """
    response = Response(documents.dumps(document), status, content_type=ACTIVITY_JSON)
    response.headers["Vary"] = "Accept, Signature" if by_signer else "Accept"
    response.headers["Cache-Control"] = "private, no-store" if by_signer else f"public, max-age={max_age_s}"
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def ap_error(status: int, sentence: str, *, retry_after_s: int | None = None, by_signer: bool = True) -> Response:
    """An error in JSON; the same status and sentence are the same bytes, whatever the cause."""
    response = Response(documents.dumps({"error": sentence}), status, content_type="application/json")
    response.headers["Vary"] = "Accept, Signature" if by_signer else "Accept"
    response.headers["Cache-Control"] = "private, no-store" if by_signer else f"public, max-age={ACTOR_AGE_S}"
    response.headers["Access-Control-Allow-Origin"] = "*"
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def not_found() -> Response:
    """The one 404, for what is missing and for what the asker may not see."""
    return ap_error(404, "not found")


def unsigned() -> Response:
    """The one 401 of signed-only mode, existing or not."""
    return ap_error(401, "this needs an HTTP signature of an actor")


def signed_only(instance: "Instance") -> bool:
    """Whether documents go to signed requests only."""
    return instance.config.federation.signed_only or instance.config.federation.mode == "allowlist"


async def reader(instance: "Instance") -> Signer | Unsigned | Response:
    """Who asks, for the request being answered: a proven signer, nobody in particular, or the refusal to send.

    A signature that does not hold counts as none where documents are open to everybody, and as 401 where they are not. Nothing of it is logged:
    some servers sign a GET with the key of the very person who reads.
    """
    scope = request.scope
    query = bytes(scope["query_string"])
    raw_path = bytes(scope.get("raw_path") or scope["path"].encode()) + (b"?" + query if query else b"")
    asked = Request(request.method, raw_path, list(scope["headers"]), None, instance.clock.ms())
    try:
        found = await signer(instance, asked, fetch=not instance.vault.locked)
    except HostRefused as error:
        return ap_error(403, error.safe)
    except KeyUnavailable as error:
        if signed_only(instance) and error.temporary:
            return ap_error(503, error.safe, retry_after_s=error.retry_after_s)
        found = Unsigned(error.why)
    except SignatureError as error:
        found = Unsigned(error.why)
    if isinstance(found, Signer) and found.actor.state == "suspended":
        return ap_error(403, HostRefused.safe)
    match found:
        case NeedsFetch():
            found = Unsigned("the vault is locked, so its key cannot be fetched")
            if signed_only(instance):
                return ap_error(503, "the instance is locked, come back later", retry_after_s=300)
        case Unsigned() if signed_only(instance):
            return unsigned()
        case _:
            pass
    return found


def refused_host(instance: "Instance") -> bool:
    """Whether the request says it comes from a host our policy refuses: believed unproven, since nobody pretends to be somebody blocked."""
    if "Signature" not in request.headers:
        return False
    for key_id in claimed_keys(list(request.scope["headers"])):
        try:
            host = instance.network.target(key_id).authority
        except BadUrl:
            continue
        if not trust.verdict(instance, host, "receive").allowed or instance.trust.bars(key_id):
            return True
    return False


def blueprint(instance: "Instance", html: Html | None = None, parting: Parting | None = None, called: Called | None = None) -> Blueprint:
    """The routes of this room. `html` renders pages at ActivityPub ids for those who want HTML.

    An actor that is gone answers 410, but while `parting` says that its last words are still on their way its bare document and its name stay: servers that
    look a key up anew with every activity would refuse the Delete otherwise (Hollo and Fedify answer it with 401).
    """
    made = Blueprint("actors", __name__)
    _well_known(made, instance, parting, called)
    _documents(made, instance, html, parting, called)
    return made


def _well_known(made: Blueprint, instance: "Instance", parting: Parting | None, called: Called | None) -> None:
    base = instance.config.base_url

    @made.get("/.well-known/webfinger")
    async def webfinger() -> Response:
        asked = request.args.getlist("resource")
        if len(asked) != 1 or not asked[0] or len(asked[0]) > LONGEST_RESOURCE:
            return _finger_error(400, "one parameter `resource` is needed")
        try:
            name = _resource(instance, asked[0])
        except BadUrl as error:
            return _finger_error(400, str(error))
        actor = await instance.database.read(_named, name) if name is not None else None
        if actor is None and name and called is not None:
            try:
                name = await called(name)
            except Busy as error:
                return _finger_error(503, "come back later", retry_after_s=error.retry_after_s)
            actor = await instance.database.read(_named, name) if name else None
        if actor is None or actor.state == "suspended":
            return _finger_error(404, "not found")
        if actor.state == "gone" and (parting is None or not await instance.database.read(parting, actor.id)):
            return _finger_error(410, "gone")
        return _open(documents.dumps(_finger(actor)), "application/jrd+json", ACTOR_AGE_S)

    @made.get("/.well-known/host-meta")
    async def host_meta() -> Response:
        if request.accept_mimetypes.best_match(["application/xrd+xml", "application/xml", "application/json", "application/jrd+json"], "") in (
            "application/json",
            "application/jrd+json",
        ):
            return await host_meta_json()
        return _open(documents.host_meta_xml(base).encode(), "application/xrd+xml", APPLICATION_AGE_S, vary="Accept")

    @made.get("/.well-known/host-meta.json")
    async def host_meta_json() -> Response:
        return _open(documents.dumps(documents.host_meta(base)), "application/json", APPLICATION_AGE_S, vary="Accept")

    @made.get("/.well-known/nodeinfo")
    async def nodeinfo_links() -> Response:
        return _open(documents.dumps(documents.nodeinfo_links(base)), "application/jrd+json", APPLICATION_AGE_S)

    @made.get("/nodeinfo/<any('2.0', '2.1'):schema>")
    async def nodeinfo(schema: str) -> Response:
        config = instance.config
        document = documents.nodeinfo(schema, release=version("fedmatch"), name=config.name, description=config.description, contact=config.contact)
        return _open(documents.dumps(document), documents.nodeinfo_type(schema), APPLICATION_AGE_S)


def _documents(made: Blueprint, instance: "Instance", html: Html | None, parting: Parting | None, called: Called | None) -> None:
    proven: list[tuple[Document, Document]] = []

    async def with_proof(actor: Actor, document: Document) -> Document:
        """The document with a proof of its own key (FEP-8b32), made once while it stays the same; a locked instance shows what it has."""
        if proven and proven[0][0] == document:
            return proven[0][1]
        try:
            key = await instance.keys.private(instance, actor.id, "ed25519")
            made_now = proofs.attach(documents.with_proof_terms(document), key.uri, instance.clock.now().replace(microsecond=0), key.sign)
        except (Locked, NoKey):
            return document
        proven[:] = [(document, made_now)]
        return made_now

    @made.get("/actor")
    async def application() -> Response:
        actor, described = await instance.database.read(_described_application, instance)
        response = ap_response(await with_proof(actor, documents.actor(described)), max_age_s=APPLICATION_AGE_S)
        # Always this document, whoever asks and whatever they accept: a cache that kept it by signature would bring back the loop of two locked doors.
        del response.headers["Vary"]
        return response

    @made.get("/users/<name>")
    @made.get("/@<name>")
    async def actor(name: str) -> Response:
        """The id, and the address people see; the document is the same, and says which of the two is its id."""
        page = not wants_activitypub(request.headers.get("Accept", ""))
        if not page and (refusal := await gate(instance)):
            return refusal
        if called is not None and await instance.database.read(known.by_name, name) is None:
            try:
                await called(name)
            except Busy as error:
                return ap_error(503, "come back later", retry_after_s=error.retry_after_s)
        if page:
            return await _page(instance, name, html)
        found = await instance.database.read(_described, instance, name, parting)
        if found is None:
            return not_found()
        person, document = found
        if document is None:
            return ap_response(documents.tombstone(person.uri, person.kind), status=410, by_signer=signed_only(instance))
        return ap_response(documents.actor(document), by_signer=signed_only(instance))

    @made.get("/users/<name>/<any(followers, following):which>")
    async def people(name: str, which: str) -> Response:
        # Who follows whom is nobody's business: a number without `first` or items, which Mastodon shows as hidden.
        if refusal := await gate(instance):
            return refusal
        person = await instance.database.read(_exactly, name)
        if person is None or person.state == "suspended":
            return not_found()
        if person.state == "gone":
            return ap_error(410, "gone")
        iri = person.followers if which == "followers" else person.following
        if iri is None:
            return not_found()
        total = await instance.database.read(_followed, person.id, which)
        return ap_response(documents.collection(iri, total), by_signer=signed_only(instance))

    @made.after_request
    async def preflight(response: Response) -> Response:
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Origin"] = "*"
            response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, OPTIONS"
            response.headers["Access-Control-Allow-Headers"] = "Accept, Date, Signature, Signature-Input"
        return response


async def gate(instance: "Instance") -> Response | None:
    """The refusal for a request that may not read documents; the signature is verified only where something depends on it."""
    if not signed_only(instance):
        return ap_error(403, HostRefused.safe) if refused_host(instance) else None
    found = await reader(instance)
    return found if isinstance(found, Response) else None


async def _page(instance: "Instance", name: str, html: Html | None) -> Response:
    person = await instance.database.read(_exactly, name)
    if person is None or person.state == "suspended":
        abort(404)
    if person.state == "gone":
        abort(410)
    response = await html("actor", person) if html is not None else _plain(person)
    response.headers.add("Link", f'<{person.uri}>; rel="alternate"; type="{ACTIVITY_JSON}"')
    response.vary.add("Accept")
    return response


def _plain(person: Actor) -> Response:
    """The page of last resort, for an instance without the product's pages."""
    shown, handle = escape(person.name or person.username), escape(person.handle)
    body = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{shown}</title>'
        f'<link rel="alternate" type="{ACTIVITY_JSON}" href="{escape(person.uri)}"><h1>{shown}</h1><p>@{handle}</p></html>'
    )
    return Response(body, content_type="text/html; charset=utf-8")


def _open(body: bytes, content_type: str, max_age_s: int, *, vary: str | None = None, status: int = 200) -> Response:
    response = Response(body, status, content_type=content_type)
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cache-Control"] = f"public, max-age={max_age_s}"
    if vary is not None:
        response.headers["Vary"] = vary
    return response


def _finger_error(status: int, sentence: str, *, retry_after_s: int | None = None) -> Response:
    response = _open(documents.dumps({"error": sentence}), "application/json", 0 if retry_after_s else ACTOR_AGE_S, status=status)
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def _finger(actor: Actor) -> Document:
    application = actor.kind == "Application"
    return documents.webfinger(f"acct:{actor.handle}", actor.uri, profile=None if application else actor.url, application=application)


def _resource(instance: "Instance", resource: str) -> str | None:
    """The local name a WebFinger resource speaks of ("" is the instance actor), or None for what is somebody else's; raises `BadUrl` for what is no URI."""
    scheme, colon, rest = resource.partition(":")
    if not colon or not scheme[:1].isalpha() or not scheme.isascii() or not scheme.replace("+", "").replace("-", "").replace(".", "").isalnum() or not rest:
        raise BadUrl("`resource` is no URI")
    match scheme.lower():
        case "acct":
            # Some clients encode the @ twice.
            name, at, host = unquote(rest).rpartition("@")
            if not at or not name:
                raise BadUrl("`resource` is no acct URI")
            return name if _ours(instance, host) else None
        case "http" | "https":
            base = instance.config.base_url
            if origin(resource) != origin(base):
                return None
            path = unquote(resource.partition("://")[2].partition("/")[2])
            if path in ("", "actor"):
                return ""
            if path.startswith("@"):
                return path[1:]
            return path.removeprefix("users/") if path.startswith("users/") else None
        case _:
            return None


def _ours(instance: "Instance", host: str) -> bool:
    try:
        return host_name(host) in known.ours(instance)
    except BadUrl:
        return False


FOLLOWERS: Final = """
select count(*) as total
from follow
join actor on actor.id = follow.follower_id
where follow.followed_id = :actor_id
  and follow.state = 'accepted'
  and actor.state <> 'gone'
"""

FOLLOWING: Final = """
select count(*) as total
from follow
join actor on actor.id = follow.followed_id
where follow.follower_id = :actor_id
  and follow.state = 'accepted'
  and actor.state <> 'gone'
"""


async def _followed(tx: Transaction, actor_id: int, which: str) -> int:
    """How many follow this actor, or how many it follows."""
    row = await tx.one(FOLLOWERS if which == "followers" else FOLLOWING, actor_id=actor_id)
    return 0 if row is None else int(row["total"])


async def _named(tx: Transaction, name: str) -> Actor | None:
    return await known.application(tx) if name == "" else await known.by_name(tx, name)


async def _exactly(tx: Transaction, name: str) -> Actor | None:
    """The local actor whose id has this name: an id has one spelling, so upper case is another thing."""
    actor = await known.by_name(tx, name)
    return actor if actor is not None and actor.username == name and actor.kind != "Application" else None


async def _described(tx: Transaction, instance: "Instance", name: str, parting: Parting | None) -> tuple[Actor, ActorDocument | None] | None:
    """An actor and how it describes itself (None when it is gone and has said its last), or None for what is not to be seen."""
    actor = await _exactly(tx, name)
    if actor is None or actor.state == "suspended":
        return None
    if actor.state == "gone" and (parting is None or not await parting(tx, actor.id)):
        return actor, None
    return actor, await local.document(tx, instance, actor)


async def _described_application(tx: Transaction, instance: "Instance") -> tuple[Actor, ActorDocument]:
    actor = await known.application(tx)
    return actor, await local.document(tx, instance, actor)
