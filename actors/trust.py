"""May this cross? The one place that answers it, for everything that comes from another host, goes to it, or is fetched from it.

An admin decides about a host, about one actor, or about a key wherever it turns up (actors/peers.py writes that down); here the decisions lie in memory.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from actors import hosts
from schemas.publickeys import Algorithm
from schemas.storage import Database, Transaction

if TYPE_CHECKING:
    from actors.instance import Instance
    from schemas.config import Mode

Direction = Literal["receive", "deliver", "fetch", "confide"]
"""`confide`: something that is not public, sealed; only to a host an admin trusts by its own name."""
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

    @property
    def shown(self) -> bool:
        """Whether people who did not ask for it see it."""
        return self.allowed and not self.limited and not self.held


BLOCKED: Final = Verdict(False, "its host is blocked", "blocked")
BLOCKED_ACTOR: Final = Verdict(False, "the actor is blocked", "blocked")
BLOCKED_KEY: Final = Verdict(False, "its key is blocked", "blocked")
UNREAD: Final = Verdict(False, "the list of peers was not read yet", "blocked")
UNREADABLE: Final = Verdict(False, "its host is no host name", "blocked")
NOT_TRUSTED: Final = Verdict(False, "its host is not trusted")
STRANGER: Final = Verdict(False, "its host is not on the allow list")
LIMITED_OFF_LIST: Final = Verdict(False, "its host is limited, and only known and trusted peers pass", "limited")

SELECT_PEERS: Final = """
select host.name, peer.level
from peer
join host on host.id = peer.host_id
"""

SELECT_RULES: Final = """
select border_rule.kind, border_rule.subject, border_rule.level
from border_rule
"""

MOST_SAID: Final = 20_000
"""How many verdicts are kept at hand: every arrival and every addressee asks for one."""

ED25519_SPKI: Final = bytes.fromhex("302a300506032b6570032100")


@dataclass(frozen=True, slots=True)
class Rules:
    """Every decision: by host (`hosts.host_name`), by actor (`spelled`), by key (`fingerprint`)."""

    hosts: Mapping[str, Level]
    actors: Mapping[str, Level]
    keys: Mapping[str, Level]


async def _read(tx: Transaction) -> Rules:
    levels: dict[str, Level] = {str(row["name"]): row["level"] for row in await tx.all(SELECT_PEERS)}
    found: dict[str, dict[str, Level]] = {"actor": {}, "key": {}}
    for row in await tx.all(SELECT_RULES):
        found[row["kind"]][row["subject"]] = row["level"]
    return Rules(levels, found["actor"], found["key"])


class Trust:
    """Every decision in memory, read again when somebody changes one. Make it with `start`: an unread one refuses everybody."""

    def __init__(self, mode: "Mode", rules: Rules | None = None) -> None:
        self.mode = mode
        self._rules = rules
        self._said: dict[tuple[Mode, str, Direction], Verdict] = {}

    async def refresh(self, database: Database) -> None:
        """Reads the decisions anew."""
        self._rules = await database.read(_read)
        self._said = {}

    @property
    def holds_back(self) -> bool:
        """Whether anything that is let in may still have to wait, or stay out of public views; False spares everybody the look."""
        rules = self._rules
        return rules is None or self.mode != "open" or "limited" in rules.hosts.values() or "limited" in rules.actors.values()

    def verdict(self, host: str, direction: Direction) -> Verdict:
        """Whether something may cross between us and `host`, from memory, in microseconds.

        Every spelling counts, and what is decided about a host is decided about its sub-domains: blocks and limits are inherited, trust never is.
        A sub-domain with a decision of its own keeps that, except from a block in mode allowlist (GoToSocial's rule: there a block beats an allow, elsewhere an
        allow beats a block). Modes: `open` lets strangers pass, `approve` marks what they send as held, `allowlist` refuses them both ways.
        """
        # In this order: a write body asks from its own thread, and what it judges by old rules while they change must not be kept among the new.
        kept = self._said
        rules = self._rules
        if rules is None:
            return UNREAD
        asked = (self.mode, host, direction)
        said = kept.get(asked)
        if said is None:
            if len(kept) >= MOST_SAID:
                kept.clear()
            said = kept[asked] = self._judge(rules, host, direction)
        return said

    def _judge(self, rules: Rules, host: str, direction: Direction) -> Verdict:
        try:
            names = tuple(hosts.domains(hosts.host_name(host)))
        except hosts.BadUrl:
            return UNREADABLE
        own = rules.hosts.get(names[0])
        above = {rules.hosts[name] for name in names[1:] if name in rules.hosts}
        if own == "blocked" or ("blocked" in above and (own is None or self.mode == "allowlist")):
            return BLOCKED
        if direction == "confide" and own != "trusted":
            return NOT_TRUSTED
        level = own or ("limited" if "limited" in above else None)
        match self.mode:
            case "open":
                return _pass(level)
            case "approve":
                return _pass(level, held=own is None and direction == "receive")
            case "allowlist":
                if own is None:
                    return STRANGER
                return LIMITED_OFF_LIST if own == "limited" else _pass(own)

    def actor(self, uri: str, direction: Direction) -> Verdict:
        """The same for one actor: its host's verdict, made stricter by a block or a limit of its own.

        An allow of its own lifts a limit of its host and the waiting of a stranger; it never lifts a block, nor the allow list.
        """
        try:
            host = hosts.authority(uri)
        except hosts.BadUrl:
            return UNREADABLE
        verdict = self.verdict(host, direction)
        rules = self._rules
        if rules is None or not verdict.allowed or not rules.actors:
            return verdict
        match rules.actors.get(spelled(uri)):
            case "blocked":
                return BLOCKED_ACTOR
            case "limited":
                return _pass("limited", held=verdict.held)
            case "known" | "trusted":
                return _pass("known")
            case None:
                return verdict

    def bars(self, uri: str) -> bool:
        """Whether this very actor is blocked; says nothing of its host. `uri` may be the id of one of its keys. Costs nothing while nobody is."""
        rules = self._rules
        if rules is None or not rules.actors:
            return False
        try:
            return rules.actors.get(spelled(uri)) == "blocked"
        except hosts.BadUrl:
            return False

    @property
    def judges_keys(self) -> bool:
        """Whether anything was decided about any key; False spares everybody the look."""
        return self._rules is not None and bool(self._rules.keys)

    def of_key(self, algorithm: Algorithm, public: bytes) -> Level | None:
        """What was decided about a key, wherever it turns up; `public` as `schemas.publickeys` has it. Costs nothing while nothing was."""
        rules = self._rules
        return rules.keys.get(fingerprint(algorithm, public)) if rules is not None and rules.keys else None


def spelled(uri: str) -> str:
    """An actor's id in the one spelling rules are kept in: no fragment, its host as `hosts.authority` writes it. Raises `hosts.BadUrl`."""
    bare = uri.partition("#")[0]
    scheme, host = hosts.origin(bare)
    path = bare.partition("://")[2].partition("/")[2]
    return f"{scheme}://{host}/{path}"


def fingerprint(algorithm: Algorithm, public: bytes) -> str:
    """What names a key: `sha256:` and the SHA-256 of its SubjectPublicKeyInfo in hex, as `openssl pkey -pubin -outform DER | sha256sum` prints it."""
    return f"sha256:{hashlib.sha256(ED25519_SPKI + public if algorithm == 'ed25519' else public).hexdigest()}"


def _pass(level: Level | None, *, held: bool = False) -> Verdict:
    known: Level = level or "known"
    return Verdict(True, level=known, limited=known == "limited", held=held)


async def start(database: Database, mode: "Mode") -> Trust:
    """The trust of this instance, its decisions read."""
    trust = Trust(mode)
    await trust.refresh(database)
    return trust


async def fresh(tx: Transaction, instance: "Instance") -> Trust:
    """The trust as this transaction sees it: what another process decided a moment ago may not have reached `instance.trust` yet."""
    return Trust(instance.trust.mode, await _read(tx))


def verdict(instance: "Instance", host: str, direction: Direction) -> Verdict:
    """`Trust.verdict` of this instance."""
    return instance.trust.verdict(host, direction)
