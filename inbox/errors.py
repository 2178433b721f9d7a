"""What may go wrong at the inbox, and what do we say about it? The whole vocabulary, and the one place that renders it.

    InboxError
    +-- Malformed      400   not what the protocol allows, at `where` (415: another media type)
    +-- TooLarge       413   more than we read
    +-- Unsigned       401   nobody proves to have sent it
    +-- Refused        403   we know who it is and do not want it (404: no such inbox, 405: no such method)
    +-- Later          503   our own trouble, or their key is out of reach (429: too many); comes with Retry-After

Every error carries two sentences: `log` for our log, which may name hosts and reasons, and `safe` for whoever asked.
Neither ever holds content, addresses or key ids.
"""

import json
from collections.abc import Sequence

Header = tuple[bytes, bytes]


class InboxError(Exception):
    """Something that ends a request at the door; `status` is what HTTP calls it."""

    code = "error"

    def __init__(self, status: int, log: str, safe: str) -> None:
        super().__init__(log)
        self.status, self.log, self.safe = status, log, safe

    @property
    def headers(self) -> tuple[Header, ...]:
        """Headers that belong to this answer and to no other."""
        return ()


class Malformed(InboxError):
    """The bytes, the headers or the document are not what the protocol allows. A retry never helps."""

    code = "malformed"

    def __init__(self, where: str, why: str, *, status: int = 400) -> None:
        super().__init__(status, f"malformed at {where}: {why}", f"{where}: {why}.")
        self.where, self.why = where, why


class TooLarge(InboxError):
    """The body is longer than `limit` bytes."""

    code = "too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"body over {limit} bytes", f"The body is longer than {limit} bytes; send less.")


class Unsigned(InboxError):
    """Nobody proves to have sent this: no signature, a wrong one, an old one, or somebody else's."""

    code = "unsigned"

    def __init__(self, log: str, safe: str = "The request needs a valid HTTP signature of the activity's actor, not older than an hour.") -> None:
        super().__init__(401, log, safe)

    @property
    def headers(self) -> tuple[Header, ...]:
        # RFC 9110 15.5.2: a 401 names the scheme it wants.
        return ((b"www-authenticate", b'Signature headers="(request-target) host date digest"'),)


class Refused(InboxError):
    """We know enough to say no, and a retry does not help."""

    code = "refused"

    def __init__(self, log: str, safe: str = "This server does not accept this.", *, status: int = 403, allow: str | None = None) -> None:
        super().__init__(status, log, safe)
        self.allow = allow

    @property
    def headers(self) -> tuple[Header, ...]:
        return ((b"allow", self.allow.encode()),) if self.allow else ()


class Later(InboxError):
    """Nothing is wrong with the request: come back after `retry_after` seconds."""

    code = "later"

    def __init__(self, retry_after: int, log: str, safe: str = "This cannot be done right now; please try again later.", *, status: int = 503) -> None:
        super().__init__(status, log, safe)
        self.retry_after = retry_after

    @property
    def headers(self) -> tuple[Header, ...]:
        return ((b"retry-after", str(max(1, self.retry_after)).encode()),)


def render(error: InboxError) -> tuple[int, Sequence[Header], bytes]:
    """Status, headers and JSON body of an error, for any ASGI server; says only the safe sentence."""
    body = json.dumps({"error": error.safe, "code": error.code}, separators=(",", ":")).encode()
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *error.headers,
    ]
    return error.status, headers, body
