"""Is a signature of now? The same window for every scheme, so that none is the easier one to replay."""

from typing import Final

from actors.signatures.errors import BadSignature, StaleSignature

WINDOW_S: Final = 3600
"""How far the time of a signature may lie from our clock, each way (Mastodon: -65 to +60 minutes; Fedify: one hour)."""
SKEW_S: Final = 300
"""How long after `expires` we still believe, for clocks that are a little wrong."""


def check(made: int, expires: int | None, now_s: float) -> None:
    """Raises `StaleSignature` unless `made` is within an hour of `now_s` and `expires` (if any) not long past, `BadSignature` if that lies before `made`."""
    if abs(now_s - made) > WINDOW_S:
        raise StaleSignature(f"made {round(now_s - made)} s ago")
    if expires is None:
        return
    if expires < made:
        raise BadSignature("it expires before it was made")
    if now_s > expires + SKEW_S:
        raise StaleSignature(f"expired {round(now_s - expires)} s ago")
