"""What does a server see that is not fedmatch? A stand-in for Mastodon: a real HTTP server with a person, keys, and signatures that are made and verified.

It is not Mastodon: it knows no more of it than this demonstration needs. It follows, takes boosts and fetches what they name, and sends direct posts.
"""

import asyncio
import base64
import hashlib
import http.client
import json
import re
import threading
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fedmatch.demo.house import Lost

AS2: Final = "https://www.w3.org/ns/activitystreams"
PUBLIC: Final = f"{AS2}#Public"
MEDIA: Final = "application/activity+json"


class StandIn:
    """A server with one person. `received` is every body that came in with a signature that holds."""

    def __init__(self, name: str) -> None:
        self.label, self.name = "Mastodon stand-in", name
        self.received: list[dict[str, Any]] = []
        self.fetched: list[dict[str, Any]] = []
        self.wrote: list[str] = []
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._notes: dict[str, dict[str, Any]] = {}
        peer = self

        class Handler(BaseHTTPRequestHandler):
            """Answers one request."""

            timeout = 10

            def do_GET(self) -> None:
                self._answer(peer.document(self.path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                taken = peer.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                self._answer({}, 202 if taken else 401)

            def _answer(self, document: dict[str, Any] | None, status: int = 200) -> None:
                body = json.dumps(document or {}).encode()
                self.send_response(status if document is not None else 404)
                self.send_header("Content-Type", "application/jrd+json" if self.path.startswith("/.well-known/") else MEDIA)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"localhost:{self._server.server_port}"
        self.id = f"http://{self.host}/users/{name}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def readable(self) -> str:
        """Everything that came in, was fetched, or was typed here."""
        return json.dumps([*self.received, *self.fetched, *self.wrote], ensure_ascii=False)

    def letters(self) -> list[str]:
        """The texts of the direct posts that came, oldest first."""
        notes = [one["object"] for one in list(self.received) if one.get("type") == "Create" and isinstance(one.get("object"), dict)]
        return [note["content"] for note in notes if PUBLIC not in [*note.get("to", []), *note.get("cc", [])]]

    # What it says.

    def document(self, path: str) -> dict[str, Any] | None:
        """The document at a path; None if there is none."""
        route = urlsplit(path).path
        if route == "/.well-known/webfinger":
            return {"subject": f"acct:{self.name}@{self.host}", "links": [{"rel": "self", "type": MEDIA, "href": self.id}]}
        if route == f"/users/{self.name}":
            return self._actor()
        return self._notes.get(route)

    def _actor(self) -> dict[str, Any]:
        pem = self._key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        return {
            "@context": [AS2, "https://w3id.org/security/v1"],
            "id": self.id,
            "type": "Person",
            "preferredUsername": self.name,
            "inbox": f"{self.id}/inbox",
            "outbox": f"{self.id}/outbox",
            "followers": f"{self.id}/followers",
            "publicKey": {"id": f"{self.id}#main-key", "owner": self.id, "publicKeyPem": pem},
        }

    async def follow(self, handle: str) -> str:
        """Looks somebody up by handle and follows them; gives their id."""
        _, _, host = handle.partition("@")
        finger = await asyncio.to_thread(self._get, f"http://{host}/.well-known/webfinger?resource=acct:{handle}")
        whom = str(next(link["href"] for link in finger["links"] if link["rel"] == "self"))
        await asyncio.to_thread(self._post, whom, {"type": "Follow", "object": whom})
        return whom

    async def write(self, whom: str, handle: str, text: str, answers: str) -> None:
        """A direct post to one person, as an answer to a post."""
        self.wrote.append(text)
        number = len(self._notes) + 1
        note = {
            "id": f"http://{self.host}/notes/{number}",
            "type": "Note",
            "attributedTo": self.id,
            "content": f"<p>{text}</p>",
            "published": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "to": [whom],
            "cc": [],
            "inReplyTo": answers,
            "tag": [{"type": "Mention", "href": whom, "name": f"@{handle}"}],
        }
        self._notes[f"/notes/{number}"] = {"@context": AS2, **note}
        await asyncio.to_thread(self._post, whom, {"type": "Create", "object": note, "to": note["to"], "cc": [], "published": note["published"]})

    async def sees(self, url: str) -> bool:
        """Whether a post was sent here, or was boosted by somebody who is followed and could be fetched."""
        for one in list(self.received):
            if one.get("type") == "Announce" and one.get("object") == url and not self._knows(url):
                self.fetched.append(await asyncio.to_thread(self._get, url))
        return self._knows(url)

    def _knows(self, url: str) -> bool:
        return any(one.get("id") == url for one in self.fetched)

    # How it speaks and listens.

    def _post(self, whom: str, activity: dict[str, Any]) -> None:
        own = f"http://{self.host}/activities/{len(self._notes)}-{activity['type']}"
        body = json.dumps({"@context": AS2, "id": own, "actor": self.id, **activity}).encode()
        inbox = self._get(whom)["inbox"]
        status, answer = self._ask("POST", inbox, body)
        if status not in (200, 202):
            raise Lost(f"{inbox} refused a {activity['type']}: {status} {answer[:300].decode(errors='replace')}")

    def _get(self, url: str) -> dict[str, Any]:
        status, body = self._ask("GET", url, None)
        if status != 200:
            raise Lost(f"{url} answered {status} to the {self.label}")
        found: dict[str, Any] = json.loads(body)
        return found

    def _ask(self, method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        """One request, signed as draft-cavage-12 says."""
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        headers = {"host": parts.netloc, "date": format_datetime(datetime.now(UTC), usegmt=True)}
        if body is not None:
            headers["digest"] = _digest(body)
        names = ["(request-target)", *headers]
        signature = self._key.sign(_base(names, method, target, headers), padding.PKCS1v15(), hashes.SHA256())
        headers["signature"] = (
            f'keyId="{self.id}#main-key",algorithm="rsa-sha256",headers="{" ".join(names)}",signature="{base64.b64encode(signature).decode()}"'
        )
        connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=20)
        try:
            connection.request(method, target, body, {**headers, "accept": MEDIA, "content-type": MEDIA})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> bool:
        """Takes a body in if its sender's signature holds; the key is fetched from them."""
        stated = dict(re.findall(r'(\w+)="([^"]*)"', headers.get("signature", "")))
        names = stated.get("headers", "").split()
        if not {"(request-target)", "host", "date", "digest"} <= set(names) or headers.get("digest") != _digest(body):
            return False
        try:
            key_id = stated["keyId"]
            key = self._get(key_id.partition("#")[0])["publicKey"]
            public = serialization.load_pem_public_key(key["publicKeyPem"].encode())
            if key["id"] != key_id or not isinstance(public, rsa.RSAPublicKey):
                return False
            public.verify(base64.b64decode(stated["signature"]), _base(names, "POST", path, headers), padding.PKCS1v15(), hashes.SHA256())
            self.received.append(json.loads(body))
        except (InvalidSignature, Lost, KeyError, ValueError, OSError):
            return False
        return True


def _digest(body: bytes) -> str:
    return "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()


def _base(names: list[str], method: str, target: str, headers: dict[str, str]) -> bytes:
    values = {**headers, "(request-target)": f"{method.lower()} {target}"}
    return "\n".join(f"{name}: {values[name]}" for name in names).encode()
