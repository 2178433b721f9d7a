"""Which lives may things lead? One table a noun; an illegal move is a named error, never a silent write."""

from dataclasses import dataclass
from typing import Final


class IllegalMove(ValueError):
    """Somebody tried to lead a thing where its life does not go."""

    def __init__(self, noun: str, state: str, to: str, allowed: frozenset[str]) -> None:
        self.noun, self.state, self.to, self.allowed = noun, state, to, allowed
        ways = ", ".join(sorted(allowed)) or "nowhere: this is an end"
        super().__init__(f"{noun}: {state} cannot become {to}; from {state} it goes to {ways}")


@dataclass(frozen=True, slots=True)
class Life:
    """The states of one noun and the moves between them."""

    noun: str
    start: str
    moves: dict[str, frozenset[str]]

    def move(self, state: str, to: str) -> str:
        """The new state; raises `IllegalMove` when the life does not go there."""
        allowed = self.moves[state]
        if to not in allowed:
            raise IllegalMove(self.noun, state, to, allowed)
        return to

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(self.moves)

    def mermaid(self) -> str:
        """The life as a mermaid state diagram, as docs/lives.md shows it."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.start}"]
        for state, ways in self.moves.items():
            lines += [f"    {state} --> {to}" for to in sorted(ways)] or [f"    {state} --> [*]"]
        return "\n".join(lines)


def life(noun: str, start: str, moves: dict[str, str]) -> Life:
    """A `Life` from `state: "next next"` lines."""
    return Life(noun, start, {state: frozenset(ways.split()) for state, ways in moves.items()})


LISTING: Final = life(
    "Listing",
    "draft",
    {
        "draft": "held scheduled open withdrawn",
        "held": "draft open scheduled refused withdrawn",
        "refused": "draft withdrawn",
        "scheduled": "draft open withdrawn",
        "open": "paused matched fulfilled expired withdrawn",
        "paused": "open expired withdrawn",
        "matched": "open fulfilled expired withdrawn",
        "fulfilled": "",
        "expired": "open withdrawn",
        "withdrawn": "",
    },
)
RESPONSE: Final = life(
    "Response",
    "sent",
    {
        "sent": "opened declined withdrawn released",
        "opened": "accepted declined withdrawn released",
        "accepted": "completed failed withdrawn released",
        "declined": "",
        "withdrawn": "",
        "released": "",
        "completed": "",
        "failed": "",
    },
)
FOLLOW: Final = life(
    "Follow",
    "requested",
    {"requested": "accepted rejected undone", "accepted": "rejected undone", "rejected": "requested", "undone": "requested"},
)
DELIVERY: Final = life("Delivery", "waiting", {"waiting": "sent dead superseded", "sent": "", "dead": "", "superseded": ""})
ARRIVAL: Final = life("Arrival", "waiting", {"unverified": "waiting failed", "waiting": "done failed", "done": "", "failed": ""})
PEER: Final = life(
    "Peer",
    "known",
    {"known": "trusted limited blocked", "trusted": "known limited blocked", "limited": "known trusted blocked", "blocked": "known limited"},
)
REPORT: Final = life("Report", "open", {"open": "taken closed", "taken": "open closed", "closed": "open"})
VOUCH: Final = life("Vouch", "issued", {"issued": "lowered revoked expired", "lowered": "revoked expired", "revoked": "", "expired": ""})

LIVES: Final = (LISTING, RESPONSE, FOLLOW, DELIVERY, ARRIVAL, PEER, REPORT, VOUCH)
