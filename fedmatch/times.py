"""How do times look to readers and scripts? RFC 3339, in UTC."""

from datetime import UTC, datetime


def rfc3339(ms: int) -> str:
    """Milliseconds as `2026-11-22T10:00:00Z`; a fraction only where there is one."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")


def milliseconds(moment: datetime) -> int:
    """An aware moment as milliseconds UTC."""
    return round(moment.timestamp() * 1000)


def moment(ms: int) -> datetime:
    """Milliseconds as an aware moment."""
    return datetime.fromtimestamp(ms / 1000, UTC)
