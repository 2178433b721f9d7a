"""May this cross? The one function that answers it, for everything that comes from another host, goes to it, or is fetched from it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from actors import hosts
from schemas.storage import Database, Transaction

if TYPE_CHECKING:
    from actors.instance import Instance
    from schemas.config import Mode

Direction = Literal["receive", "deliver", "fetch"]
Level = Literal["trusted", "known", "limited", "blocked"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it may cross, and why not (a sentence for the log, without the host).

    `limited`: not in public views, follows need approval. `held`: of a stranger, wait for an admin (mode approve).
    """

    allowed: bool
    why: str = ""
    level: Level = "known"
    limited: bool = False
    held: bool = False


BLOCKED: Final = Verdict(False, "its host is blocked", "blocked")
UNREADABLE: Final = Verdict(False, "its host is no host name", "blocked")
STRANGER: Final = Verdict(False, "its host is not on the allow list")
LIMITED_OFF_LIST: Final = Verdict(False, "its host is limited, and only known and trusted peers pass", "limited")

SELECT_PEERS: Final = """
select host.name, peer.level
from peer
join host on host.id = peer.host_id
"""


async def _peers(tx: Transaction) -> dict[str, Level]:
    return {str(row["name"]): row["level"] for row in await tx.all(SELECT_PEERS)}


class Trust:
    """Every peer's level in memory, read again when somebody changes one. Make it with `start`: an unread one refuses everybody."""

    def __init__(self, mode: "Mode") -> None:
        self.mode = mode
        self._levels: dict[str, Level] | None = None

    async def refresh(self, database: Database) -> None:
        """Reads the peers anew."""
        self._levels = await database.read(_peers)

    def verdict(self, host: str, direction: Direction) -> Verdict:
        """Whether something may cross between us and `host`, from memory, in microseconds.

        A block covers every spelling and every sub-domain, in every direction and mode, and beats any other level; a limit is inherited by sub-domains
        that have no level of their own; trust never is.
        Modes: `open` lets strangers pass, `approve` marks what they send as held, `allowlist` refuses them both ways.
        """
        if self._levels is None:
            return Verdict(False, "the list of peers was not read yet", "blocked")
        try:
            names = tuple(hosts.domains(hosts.host_name(host)))
        except hosts.BadUrl:
            return UNREADABLE
        levels = [self._levels[name] for name in names if name in self._levels]
        if "blocked" in levels:
            return BLOCKED
        own = self._levels.get(names[0])
        level = own or ("limited" if "limited" in levels else None)
        match self.mode:
            case "open":
                return _pass(level)
            case "approve":
                return _pass(level, held=own is None and direction == "receive")
            case "allowlist":
                if own is None:
                    return STRANGER
                return LIMITED_OFF_LIST if own == "limited" else _pass(own)


def _pass(level: Level | None, *, held: bool = False) -> Verdict:
    known: Level = level or "known"
    return Verdict(True, level=known, limited=known == "limited", held=held)


async def start(database: Database, mode: "Mode") -> Trust:
    """The trust of this instance, its peers read."""
    trust = Trust(mode)
    await trust.refresh(database)
    return trust


def verdict(instance: "Instance", host: str, direction: Direction) -> Verdict:
    """`Trust.verdict` of this instance."""
    return instance.trust.verdict(host, direction)
