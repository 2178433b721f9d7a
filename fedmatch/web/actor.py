"""Who is this? An actor as pages show them: what they say about themselves, and nothing that they did not say."""

from dataclasses import dataclass

from actors.known import Actor
from schemas import html


@dataclass(frozen=True, slots=True)
class ActorView:
    """An actor in the words of a page; `follow` is False for the instance itself."""

    uri: str
    path: str
    name: str
    handle: str
    summary: str | None
    follow: bool

    @classmethod
    def of(cls, actor: Actor) -> "ActorView":
        """The view of one actor; the summary was sanitised when it was written, and is once more."""
        return cls(
            uri=actor.uri,
            path=f"/@{actor.username}",
            name=actor.name or actor.username,
            handle=actor.handle,
            summary=html.sanitise(actor.summary) if actor.summary else None,
            follow=actor.kind != "Application",
        )
