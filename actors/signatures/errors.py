"""Why do we not believe a signature?

    SignatureError                  status, a sentence for the log, a safe one for strangers
    +-- MalformedSignature          400   the headers cannot be read
    +-- BadSignature                401   read, and wrong or covering too little
    |   +-- StaleSignature          401   right once, or not yet
    +-- HostRefused                 403   its key's host is blocked, or not on the allow list; nothing was fetched
    +-- KeyGone                     401   its key answered 410: a Delete of that actor is authentic, nothing else is
    +-- KeyUnavailable              503 where a later try may find the key, else 401

Neither sentence holds a key id: on a GET it may be the name of somebody who looks for help.
"""

from typing import Final

from schemas.reading import Iri

RETRY_AFTER_S: Final = 300


class SignatureError(Exception):
    """A request whose signature we do not act upon."""

    status: int = 401
    safe: str = "the signature does not hold"
    retry_after_s: int | None = None

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


class MalformedSignature(SignatureError):
    """The Signature, Digest or Date header is not what its specification says."""

    status = 400
    safe = "the signature headers are malformed"


class BadSignature(SignatureError):
    """It does not verify, or does not cover what it must."""


class StaleSignature(BadSignature):
    """Its time lies outside the window of one hour each way, or it has expired."""

    safe = "the signature is outside its time window"


class HostRefused(SignatureError):
    """The policy of the key's host says no; decided before any fetch."""

    status = 403
    safe = "this instance does not exchange anything with your host"


class KeyGone(SignatureError):
    """The key's own server says that the actor is gone for ever (410)."""

    safe = "the key of the signature is gone"

    def __init__(self, actor: Iri, why: str = "its key answered 410") -> None:
        self.actor = actor
        super().__init__(why)


class KeyUnavailable(SignatureError):
    """The key could not be had: `temporary` if a later try may succeed."""

    safe = "the key of the signature could not be fetched"

    def __init__(self, why: str, temporary: bool, retry_after_s: int = RETRY_AFTER_S) -> None:
        super().__init__(why)
        self.temporary = temporary
        self.status = 503 if temporary else 401
        self.retry_after_s = retry_after_s if temporary else None
