"""Who comes when a name is called that nobody has? The product says so, `actors.endpoints` asks it."""

from collections.abc import Awaitable, Callable

Called = Callable[[str], Awaitable[str | None]]
"""The name they have then, or None. Raises `Busy`. The product registers it; rooms below do not know whom."""


class Busy(Exception):
    """Somebody would come, but too many are being called: come back in `retry_after_s` seconds."""

    retry_after_s: int = 10
