"""Rows A064-A076: what others make us ask for, where, and what they answer. The addresses themselves are tried in test_addresses.py."""

import asyncio
import gzip
import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partialmethod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from actors.hosts import BadUrl
from actors.outbound import Network
from actors.targets import target
from fedmatch import people
from outbox import publish
from outbox.address import Audience
from schemas.activities import Like
from schemas.reading import Iri
from tests.attacks.keys import plain_http
from tests.attacks.stage import Act, Case, Stage
from tests.fakepeer import AP, AS2, PUBLIC, FakeActor, pair
from tests.wire import Answer, Reply, reply_json

TAKEN = frozenset({202})
UNAUTHORISED = frozenset({400, 401})


def boost(stage: Stage, url: str) -> Awaitable[Answer]:
    """Makes the instance fetch a URL: somebody whom one of ours follows boosts it."""
    return stage.send(stage.p1.activity("Announce", url, to=[PUBLIC]))


@asynccontextmanager
async def impatient(seconds: float = 0.5) -> AsyncIterator[None]:
    """Ten seconds are the deadline of a request; here half a one, so that the test need not wait for it."""
    with (
        patch.object(Network, "get", partialmethod(Network.get, deadline_s=seconds)),
        patch.object(Network, "post", partialmethod(Network.post, deadline_s=seconds)),
    ):
        yield


async def never_stored(stage: Stage, url: str) -> None:
    await stage.settle()
    assert await stage.site.count("post", "uri = :url", url=url) == 0


def note_at(stage: Stage, url: str, by: FakeActor | None = None) -> dict[str, Any]:
    author = by or stage.p1
    return {
        "@context": AS2,
        "id": url,
        "type": "Note",
        "attributedTo": author.id,
        "content": "<p>fetched</p>",
        "to": [PUBLIC],
        "published": "2026-01-01T00:00:00Z",
    }


# A064, A065, A068: where to.


def asked_for(url: str) -> Act:
    """The URL as a key, as a thing to boost, as a parent, as an author and as a handle's host; nothing of it is stored."""

    async def act(stage: Stage) -> list[Answer]:
        filled = url.replace("PEER", stage.peer.host).replace("PORT", str(stage.peer.port))
        asked = len(stage.peer.log)
        answers = [
            await stage.send(stage.create(text="<p>a key</p>"), key_id=f"{filled}#main-key".encode().decode("latin-1")),
            await boost(stage, filled),
            await stage.send(stage.p1.create({**stage.p1.note("<p>a child</p>"), "inReplyTo": filled})),
            await stage.send(stage.p1.activity("Create", filled, to=[PUBLIC])),
            await stage.send({**stage.create(), "actor": filled}),
        ]
        await stage.settle()
        assert [answer.status for answer in answers if answer.status not in {202, 400, 401, 403, 503}] == []
        # 503: a name that nobody has today may be there tomorrow.
        assert answers[0].status in {400, 401, 503}
        assert await stage.site.count("post", "uri = :url", url=filled) == 0
        assert len(stage.peer.log) - asked <= 1
        with pytest.raises(people.NotFound):
            await people.find(stage.site.instance, f"x@{filled.partition('//')[2].partition('/')[0]}")
        return []

    return act


def resolving(*addresses: list[str]) -> Act:
    """A name whose look-ups answer one after the other with these addresses; only 127.0.0.1 may be connected to, and only if it was what was judged."""

    async def act(stage: Stage) -> Answer:
        stage.fresh += 1
        name, turns = f"n{stage.fresh}.localhost", iter([*addresses, *[addresses[-1]] * 50])
        stage.alarm.names[name] = lambda: next(turns)
        url = f"http://{name}:{stage.peer.port}/notes/1"
        asked = len(stage.peer.log)
        answer = await boost(stage, url)
        await never_stored(stage, url)
        # The first look-up decides, for the connection that follows it.
        assert (len(stage.peer.log) > asked) == (addresses[0] == ["127.0.0.1"])
        return answer

    return act


# A066


def redirected(status: int, location: str, most: int = 5) -> Act:
    async def act(stage: Stage) -> Answer:
        stage.fresh += 1
        path = f"/hop{stage.fresh}"
        other = note_at(stage, f"{stage.elsewhere.base}/notes/elsewhere", stage.other)
        stage.elsewhere.documents["/notes/elsewhere"] = other
        names = {"PEER": stage.peer.base, "HERE": f"{stage.peer.base}{path}", "ELSEWHERE": other["id"], "OURS": stage.said.uri, "HOST": stage.peer.host}
        filled = location
        for name, value in names.items():
            filled = filled.replace(name, value)
        stage.peer.always(path, Reply(status, headers=(("Location", filled),)))
        asked = len(stage.peer.log) + len(stage.elsewhere.log)
        answer = await boost(stage, f"{stage.peer.base}{path}")
        await never_stored(stage, f"{stage.peer.base}{path}")
        assert await stage.site.count("post", "uri = :url", url=other["id"]) == 0
        assert len(stage.peer.log) + len(stage.elsewhere.log) - asked <= most
        return answer

    return act


async def many_hops(stage: Stage) -> Answer:
    stage.fresh += 1
    for number in range(21):
        stage.peer.always(f"/many{stage.fresh}/{number}", Reply(302, headers=(("Location", f"/many{stage.fresh}/{number + 1}"),)))
    asked = len(stage.peer.log)
    answer = await boost(stage, f"{stage.peer.base}/many{stage.fresh}/0")
    await never_stored(stage, f"{stage.peer.base}/many{stage.fresh}/0")
    assert len(stage.peer.log) - asked == 4
    return answer


async def every_hop_is_signed_anew(stage: Stage) -> Answer:
    """A relative redirect is followed; each hop is signed for itself, so the second server can check it."""
    stage.fresh += 1
    path = f"/moved{stage.fresh}"
    stage.peer.always(path, Reply(301, headers=(("Location", f"{path}/here"),)))
    stage.peer.documents[f"{path}/here"] = note_at(stage, f"{stage.peer.base}{path}/here")
    asked = len(stage.peer.log)
    answer = await boost(stage, f"{stage.peer.base}{path}")
    await stage.settle()
    heard = [one for one in stage.peer.log[asked:] if one.asked.path.startswith(path)]
    assert [one.signature for one in heard] == ["valid"] * len(heard)
    assert len(heard) >= 2
    return answer


# A067


def ported(port: int, right: bool) -> Act:
    """Which ports a stranger's URL may name, outside development."""

    async def act(_: Stage) -> None:
        url = f"https://peer.example:{port}/x"
        if right:
            assert target(url, plain_http=False, any_port=False).url
            return
        with pytest.raises(BadUrl):
            target(url, plain_http=False, any_port=False)

    return act


# A069, A070: what a server may answer. A trap speaks bytes.

Talk = Callable[[asyncio.StreamWriter], Awaitable[None]]


def trapped(talk: bytes | Talk, *, tls: Callable[[Path], ssl.SSLContext] | None = None, scheme: str = "http") -> Act:
    """What is boosted lies on a server that answers like this."""

    async def act(stage: Stage) -> Answer:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                if tls is None and scheme == "https":
                    await reader.read(1)
                else:
                    await reader.readuntil(b"\r\n\r\n")
                if isinstance(talk, bytes):
                    writer.write(talk)
                    await writer.drain()
                else:
                    await talk(writer)
            except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                pass
            finally:
                writer.close()

        with TemporaryDirectory() as folder:
            listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls(Path(folder)) if tls else None)
            port = listening.sockets[0].getsockname()[1]
            stage.alarm.ours.add(("127.0.0.1", port))
            url = f"{scheme}://localhost:{port}/notes/1"
            async with asyncio.timeout(8), impatient():
                answer = await boost(stage, url)
                await never_stored(stage, url)
            listening.close()
        return answer

    return act


def http(payload: bytes, *lines: str, length: int | None = None, content_type: str = AP) -> bytes:
    head = ["HTTP/1.1 200 OK", f"Content-Type: {content_type}", *lines]
    if length is not None or not any(line.lower().startswith("transfer-encoding") for line in lines):
        head.append(f"Content-Length: {len(payload) if length is None else length}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + payload


async def endless_chunks(writer: asyncio.StreamWriter) -> None:
    writer.write(http(b"", "Transfer-Encoding: chunked"))
    while not writer.is_closing():
        writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        await writer.drain()


async def endless_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        if writer.is_closing():
            return
        writer.write(f"X-{number}: y\r\n".encode())
        await writer.drain()


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(http(b"", length=1000))
    for _ in range(100):
        if writer.is_closing():
            return
        writer.write(b"{")
        await writer.drain()
        await asyncio.sleep(0.1)


async def silence(_: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3)


def certificate(*, name: str = "localhost", days: int = 1, extra: int = 0) -> Callable[[Path], ssl.SSLContext]:
    """A certificate nobody vouches for."""

    def make(folder: Path) -> ssl.SSLContext:
        from datetime import UTC, datetime

        key, now = pair("stranger").rsa, datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [x509.DNSName(name), *(x509.DNSName(f"n{number}.example") for number in range(extra))]
        built = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(7)
        built = (
            built.not_valid_before(now - timedelta(days=30))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(names), False)
        )
        path = folder / "server.pem"
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        path.write_bytes(key.private_bytes(*form) + built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    return make


# A071


def served_as(content_type: str) -> Act:
    """A genuine document, under a media type that anybody's upload could have: neither a post nor an actor is believed."""

    async def act(stage: Stage) -> list[Answer]:
        stage.fresh += 1
        url = f"{stage.peer.base}/upload{stage.fresh}"
        stage.peer.always(f"/upload{stage.fresh}", reply_json(note_at(stage, url), content_type=content_type))
        boosted = await boost(stage, url)
        await never_stored(stage, url)
        stranger = stage.stranger()
        stage.peer.always(f"/users/{stranger.name}", reply_json(stranger.document(), content_type=content_type))
        refused = await stage.send(stage.create(stranger), stranger)
        assert refused.status in UNAUTHORISED
        return [boosted, refused]

    return act


# A072


def fingered(make: Callable[[Stage, FakeActor], Reply], *, meta: Callable[[Stage], Reply] | None = None, most: int = 4) -> Act:
    """A handle whose WebFinger answers like this finds nobody, and costs little."""

    async def act(stage: Stage) -> None:
        stranger = stage.stranger()
        stage.peer.always("/.well-known/webfinger", make(stage, stranger))
        if meta:
            stage.peer.always("/.well-known/host-meta", meta(stage))
        asked = len(stage.peer.log)
        try:
            with pytest.raises(people.NotFound):
                await people.find(stage.site.instance, stranger.handle)
        finally:
            stage.peer.always("/.well-known/webfinger", None)
            stage.peer.always("/.well-known/host-meta", None)
        assert len(stage.peer.log) - asked <= most
        assert await stage.site.count("actor", "uri = :uri", uri=stranger.id) == 0

    return act


def jrd(subject: str, *links: Any, **more: Any) -> Reply:
    return reply_json({"subject": subject, "links": list(links), **more}, content_type="application/jrd+json")


def own(href: str) -> dict[str, str]:
    return {"rel": "self", "type": AP, "href": href}


def xrd(template: str) -> Reply:
    text = f'<XRD xmlns="http://docs.oasis-open.org/ns/xri/xrd-1.0"><Link rel="lrdd" template="{template}"/></XRD>'
    return Reply(200, text.encode(), content_type="application/xrd+xml")


# A073-A076


async def nodeinfo_is_not_asked(stage: Stage) -> Answer:
    """We ask nobody's NodeInfo: what it says, and where it leads, is of no use to us."""
    links = [
        {"rel": "http://nodeinfo.diaspora.software/ns/schema/2.1", "href": href} for href in ("http://127.0.0.2/x", "data:text/html,x", "http://10.0.0.1/")
    ]
    stage.peer.documents["/.well-known/nodeinfo"] = {"links": links}
    stranger = stage.stranger()
    answer = await stage.send(stranger.activity("Like", stage.said.uri), stranger)
    await stage.settle()
    assert stage.peer.asked("/.well-known/nodeinfo") == []
    return answer


async def proxy_of_the_environment(stage: Stage) -> Answer:
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.2:3128")
    with patch.dict(os.environ, proxies):
        stranger = stage.stranger()
        answer = await stage.send(stranger.activity("Like", stage.said.uri), stranger)
        await stage.settle()
    return answer


def living(inbox: str) -> Act:
    """An actor with such an inbox is not taken in."""

    async def act(stage: Stage) -> Answer:
        filled = inbox.replace("ELSEWHERE", stage.elsewhere.base).replace("OURS", stage.site.base).replace("HOST", stage.peer.host)
        stranger = stage.stranger(inbox=filled)
        answer = await stage.send(stranger.follow(stage.reader.uri), stranger)
        assert await stage.site.count("actor", "uri = :uri", uri=stranger.id) == 0
        return answer

    return act


async def bad_inboxes_beside_a_good_one(stage: Stage) -> None:
    """One recipient that cannot be reached never stops the rest."""
    bad = [
        "{foo:",
        "mailto:x@y.example",
        "http://10.0.0.1/inbox",
        "http://127.0.0.2/inbox",
        f"{stage.site.base}/inbox",
        "http://nowhere.localhost/inbox",
        "",
        "x" * 3000,
    ]
    instance = stage.site.instance
    good = stage.other.inbox
    taken = len(stage.elsewhere.activities("Like"))
    like = Like(id=Iri(f"{stage.site.base}/activities/{instance.ids.new()}"), actor=stage.reader.uri, object=Iri(stage.other.id))
    inboxes = tuple(Iri(one) for one in [*bad[:4], good, *bad[4:]])
    await instance.database.write(
        publish.publish, instance, stage.reader.actor, like, Audience(inboxes=inboxes), object=Iri(stage.other.id), ordering_key=f"fan-out {stage.fresh}"
    )
    instance.wake("delivery")
    await stage.settle()
    assert len(stage.elsewhere.activities("Like")) == taken + 1


def delivered_to(reply: Reply, *, most: int = 2, wait_s: tuple[int, int] | None = None) -> Act:
    """An inbox that answers like this: asked so often and no more, and asked again, if at all, after so many seconds."""

    async def act(stage: Stage) -> None:
        path = "/users/other/inbox"
        stage.elsewhere.always(path, reply)
        asked = len(stage.elsewhere.asked(path, "POST"))
        others = len(stage.elsewhere.log)
        async with asyncio.timeout(10), impatient(2):
            await stage.reader.post(f"to {stage.other.name} {stage.fresh}", "direct", to=[stage.other.handle])
            await stage.settle()
        stage.fresh += 1
        try:
            tried = len(stage.elsewhere.asked(path, "POST")) - asked
            assert 1 <= tried <= most
            # Nothing else was asked there because of the answer.
            assert len(stage.elsewhere.log) - others == tried
            [row] = await stage.site.rows("select state, next_at from delivery order by id desc limit 1")
            if wait_s:
                assert row["state"] == "waiting"
                assert wait_s[0] * 1000 <= row["next_at"] - stage.world.clock.ms() <= wait_s[1] * 1000
        finally:
            stage.elsewhere.always(path, None)
            await _forget_deliveries(stage)

    return act


async def _forget_deliveries(stage: Stage) -> None:
    """What was put off by a row is no business of the next one."""

    async def body(tx: Any) -> None:
        await tx.execute("delete from delivery")
        await tx.execute("update host set next_at = null, open_until = 0, failures = 0")

    await stage.site.instance.database.write(body)


def rows() -> list[Case]:
    """The table."""
    found: list[Case] = []

    def case(row: str, name: str, act: Act, status: frozenset[int] = TAKEN, **more: bool) -> None:
        found.append(Case(row, name, act, status, **more))

    # Every line of addresses.txt through every way out: test_addresses.py. Here are the spellings.
    for host in (
        "127.1", "127.0.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001", "127\u30020\u30020\u30021", "\uff11\uff12\uff17.0.0.1",
        "[::ffff:7f00:1]", "[::ffff:127.0.0.1]", "[::1%25lo]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "127.0.0.1.", "127.0.0.2", "0",
        "[::]", "localhost.localdomain",
    ):  # fmt: skip
        case("A064", host.encode("ascii", "backslashreplace").decode(), asked_for(f"http://{host}:PORT/users/x"), effect=True)

    case("A065", "a private address", resolving(["127.0.0.2"]))
    case("A065", "one of two is private", resolving(["127.0.0.1", "127.0.0.2"]))
    case("A065", "A and AAAA, one private", resolving(["127.0.0.1", "fd00::1"]))
    case("A065", "AAAA alone, private", resolving(["fd00::1"]))
    case("A065", "first right, then private", resolving(["127.0.0.1"], ["127.0.0.2"]))
    case("A065", "first private, then right", resolving(["127.0.0.2"], ["127.0.0.1"]))
    case("A065", "a mapped address", resolving(["::ffff:127.0.0.1"]))

    for status in (301, 302, 303, 307, 308):
        case("A066", f"{status} to a private address", redirected(status, "http://127.0.0.2:6379/"))
        case("A066", f"{status} to another server's post", redirected(status, "ELSEWHERE"))
    for location in (
        "file:///etc/passwd", "data:application/activity+json,{}", "gopher://HOST/x", "ftp://HOST/x", "javascript:x", "//127.0.0.2/x", "http://[::1]/x", "http://[::1",
        "OURS", "http://user:pass@HOST/notes/1", "http://HOST\\@127.0.0.2/", "PEER/" + "x" * 10_000, "", "http://169.254.169.254/latest/", "http:///x",
        "?x\x00",
    ):  # fmt: skip
        case("A066", f"to {location[:50]!r}", redirected(302, location))
    case("A066", "to http: outside development", plain_http)
    case("A066", "in a circle", redirected(302, "HERE"))
    case("A066", "21 hops", many_hops)
    case("A066", "signed anew at every hop", every_hop_is_signed_anew, effect=True)

    for port in (22, 25, 80, 6379, 5432, 11211, 0, 65535, 99999, 8080, 9200):
        case("A067", str(port), ported(port, False))
    for port in (443, 8443):
        case("A067", f"{port} is open", ported(port, True))

    for url in (
        "http://user@PEER/users/x", "http://user:pass@PEER/users/x", "http://PEER\\@127.0.0.2/users/x", "http://127.0.0.2#@PEER/users/x",
        "http://PEER@127.0.0.2/users/x",
        "http://PEER%00.evil.example/users/x", "http://PEER\t/users/x", "http://PEER /users/x", "http://a..b:PORT/users/x", "http://.localhost:PORT/users/x",
        "http://xn--a:PORT/users/x", "http://-a-.localhost:PORT/users/x", "http://" + "a" * 254 + ":PORT/users/x",
        "http://" + ".".join(["a" * 60] * 5) + "/users/x",
        "http://loc\u00adalhost\u200b:PORT/users/x\u202e", "http://lo\\calhost:PORT/users/x", "http://localhost:PORT:80/users/x",
        "http://nowhere.localhost:/users/x:x", "HTTP://PEER/users/../x",
        "http:\\\\PEER/users/x", "http:/PEER/users/x", "//PEER/users/x", "http://PEER/%2e%2e/users/x", "http://PEER/users/x|y", "http://PEER/users/%zz",
    ):  # fmt: skip
        case("A068", url[:70].encode("unicode_escape").decode(), asked_for(url), effect=True)

    padded = json.dumps({"id": "x" * 100}).encode()
    case("A069", "1 GB, announced", trapped(http(padded, length=1_000_000_000)))
    case("A069", "chunks without end", trapped(endless_chunks))
    case("A069", "gzip", trapped(http(gzip.compress(b"x" * 5_000_000), "Content-Encoding: gzip")))
    case("A069", "gzip in gzip", trapped(http(gzip.compress(gzip.compress(b"x" * 5_000_000)), "Content-Encoding: gzip, gzip")))
    for encoding in ("br", "zstd", "deflate", "x", "identity, br"):
        case("A069", encoding, trapped(http(padded, f"Content-Encoding: {encoding}")))
    case("A069", "longer than it says", trapped(http(padded, length=5)))
    case("A069", "shorter than it says", trapped(http(padded, length=5000)))
    case("A069", "two lengths", trapped(http(padded, "Content-Length: 7")))
    case("A069", "HTML", trapped(http(b"<html>", content_type="text/html")))
    case("A069", "multipart", trapped(http(padded, content_type="multipart/related; boundary=x")))
    case("A069", "a list", trapped(http(b"[" + padded + b"]")))
    case("A069", "204", trapped(b"HTTP/1.1 204 No Content\r\n\r\n"))
    case("A069", "100 for ever", trapped(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000))
    case("A069", "no HTTP", trapped(b"220 mail.example ESMTP\r\n"))

    case("A070", "byte by byte", trapped(drip))
    case("A070", "headers without end", trapped(endless_headers))
    case("A070", "silence", trapped(silence))
    case("A070", "closed at once", trapped(b""))
    case("A070", "closed in the head", trapped(b"HTTP/1.1 200 OK\r\nContent-"))
    case("A070", "TLS that never begins", trapped(silence, scheme="https"))
    case("A070", "TLS that is none", trapped(http(padded), scheme="https"))
    case("A070", "a certificate of nobody", trapped(http(padded), scheme="https", tls=certificate()))
    case("A070", "an expired one", trapped(http(padded), scheme="https", tls=certificate(days=-1)))
    case("A070", "for another name", trapped(http(padded), scheme="https", tls=certificate(name="bank.example")))
    case("A070", "a huge one", trapped(http(padded), scheme="https", tls=certificate(extra=3000)))

    for content_type in (
        "text/plain", "image/png", "application/json", "application/ld+json", 'application/ld+json; profile="x"', "text/html", "application/octet-stream",
        f"{AP}; charset=utf-16", f"text/plain, {AP}", "application/jrd+json", "", "multipart/form-data",
    ):  # fmt: skip
        case("A071", content_type or "none", served_as(content_type), TAKEN | UNAUTHORISED, met=True)

    case("A072", "subject on another host", fingered(lambda stage, who: jrd(f"acct:{who.name}@{stage.elsewhere.host}", own(who.id))))
    case("A072", "subject is somebody else", fingered(lambda stage, who: jrd(f"acct:victim@{stage.peer.host}", own(who.id)), most=6))
    case("A072", "subject is no acct", fingered(lambda _, who: jrd(who.id, own(who.id))))
    case("A072", "subject is one of ours", fingered(lambda stage, who: jrd(f"acct:{stage.reader.handle}", own(stage.reader.uri))))
    case("A072", "a link to a third host", fingered(lambda stage, who: jrd(f"acct:{who.handle}", own(f"{stage.elsewhere.base}/users/{who.name}")), most=6))
    case("A072", "a link to us", fingered(lambda stage, who: jrd(f"acct:{who.handle}", own(stage.reader.uri))))
    case("A072", "a link to a private address", fingered(lambda _, who: jrd(f"acct:{who.handle}", own("http://127.0.0.2/users/x"))))
    case("A072", "a link to nowhere", fingered(lambda _, who: jrd(f"acct:{who.handle}", own("javascript:alert(1)"))))
    case("A072", "a link to somebody else", fingered(lambda stage, who: jrd(f"acct:{who.handle}", own(stage.victim.id)), most=6))
    case("A072", "10 MB", fingered(lambda _, who: jrd(f"acct:{who.handle}", own(who.id), x="x" * 10_000_000)))
    case("A072", "no links", fingered(lambda _, who: jrd(f"acct:{who.handle}")))
    case("A072", "links are a text", fingered(lambda _, who: reply_json({"subject": f"acct:{who.handle}", "links": "x"}, content_type="application/jrd+json")))
    case("A072", "10,000 links", fingered(lambda _, who: jrd(f"acct:{who.handle}", *[{"rel": "self"}] * 2000, own(who.id))))
    case("A072", "a redirect to itself", fingered(lambda _, who: Reply(302, headers=(("Location", "/.well-known/webfinger"),)), most=8))
    gone: Callable[[Stage, FakeActor], Reply] = lambda _stage, _who: Reply(404)  # noqa: E731  # one word for many rows
    case("A072", "host-meta leads to itself", fingered(gone, meta=lambda stage: xrd(f"{stage.peer.base}/.well-known/host-meta?x={{uri}}")))
    case("A072", "host-meta leads to a private address", fingered(gone, meta=lambda _: xrd("http://127.0.0.2/{uri}")))
    case("A072", "host-meta leads to a file", fingered(gone, meta=lambda _: xrd("file:///etc/{uri}")))
    case("A072", "a template in the host", fingered(gone, meta=lambda _: xrd("http://{uri}/x")))
    case(
        "A072",
        "a billion laughs",
        fingered(gone, meta=lambda _: Reply(200, b'<!DOCTYPE x [<!ENTITY a "aaaa">]><XRD>&a;</XRD>', content_type="application/xrd+xml")),
    )
    case("A072", "host-meta of 10 MB", fingered(gone, meta=lambda _: xrd("x" * 10_000_000)))

    case("A073", "is never asked", nodeinfo_is_not_asked, met=True)
    case("A074", "proxies named by the environment", proxy_of_the_environment, met=True)

    for inbox in (
        "ELSEWHERE/inbox",
        "http://localhost/inbox",
        "OURS/inbox",
        "{foo:",
        "mailto:x@y.example",
        "",
        "/inbox",
        "http://HOST@127.0.0.2/inbox",
        "file:///x",
        "http://127.0.0.2/inbox",
    ):
        case("A075", inbox or "empty", living(inbox), UNAUTHORISED, met=True)
    case("A075", "beside a good one", bad_inboxes_beside_a_good_one, effect=True)

    hour = 3600
    case("A076", "200 with 10 MB", delivered_to(Reply(200, b"x" * 10_000_000)), effect=True)
    case("A076", "302 to somewhere", delivered_to(Reply(302, headers=(("Location", "http://127.0.0.2/inbox"),))), effect=True)
    case("A076", "307 to us", delivered_to(Reply(307, headers=(("Location", "/users/other/inbox"),)), most=5), effect=True)
    case("A076", "401, always", delivered_to(Reply(401), most=2, wait_s=(1, hour)), effect=True)
    case("A076", "429 for 30 years", delivered_to(Reply(429, headers=(("Retry-After", "1000000000"),)), wait_s=(23 * hour, 24 * hour + 60)), effect=True)
    case("A076", "429 until 1970", delivered_to(Reply(429, headers=(("Retry-After", "Thu, 01 Jan 1970 00:00:00 GMT"),)), wait_s=(10, hour)), effect=True)
    case("A076", "429 with rubbish", delivered_to(Reply(429, headers=(("Retry-After", "-1e9 soon"),)), wait_s=(10, hour)), effect=True)
    case(
        "A076",
        "503 until 9999",
        delivered_to(Reply(503, headers=(("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"),)), wait_s=(23 * hour, 24 * hour + 60)),
        effect=True,
    )
    case("A076", "never answers", delivered_to(Reply(hang=True), wait_s=(1, hour)), effect=True)
    case("A076", "hangs up", delivered_to(Reply(drop=True), wait_s=(1, hour), most=3), effect=True)
    return found
