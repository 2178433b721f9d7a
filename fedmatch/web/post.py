"""How does a post look that is neither request nor offer? Its words, its poll, and what it answers."""

from dataclasses import dataclass
from datetime import datetime

from quart import Response

from actors.known import Actor
from fedmatch import times
from fedmatch.web import frame
from fedmatch.web.actor import ActorView
from fedmatch.web.frame import Frame
from fedmatch.web.language import Spoken, direction
from fedmatch.web.listing import date, here
from outbox.posts import Post
from schemas import html
from schemas.objects import Poll


@dataclass(frozen=True, slots=True)
class OptionView:
    """One thing to vote for: plain text, how many did, and which part of all votes that is."""

    name: str
    votes: str
    part: int
    percent: str


@dataclass(frozen=True, slots=True)
class PollView:
    """A poll in the words of a page; `day` is when it ends, or ended."""

    options: tuple[OptionView, ...]
    multiple: bool
    over: bool
    day: str | None
    voters: int | None
    voters_words: str


@dataclass(frozen=True, slots=True)
class PostView:
    """A post in the words of a page; `content` is sanitised HTML."""

    url: str
    content: str
    warning: str | None
    language: str | None
    direction: str
    date: str
    day: str
    edited: str | None
    reply_to: str | None
    reply_here: bool
    poll: PollView | None = None


def _poll(poll: Poll, now: datetime, said: Spoken) -> PollView:
    total = sum(option.votes for option in poll.options) or 1
    ends = poll.closed or poll.ends
    parts = [round(100 * option.votes / total) for option in poll.options]
    return PollView(
        options=tuple(OptionView(one.name, said.number(one.votes), part, said.percent(part)) for one, part in zip(poll.options, parts, strict=True)),
        multiple=poll.multiple,
        over=poll.closed is not None or (poll.ends is not None and poll.ends <= now),
        day=None if ends is None else said.day(ends),
        voters=poll.voters,
        voters_words=said.number(poll.voters or 0),
    )


def shown(made: Frame, author: Actor, post: Post, poll: Poll | None) -> Response:
    """The page of a post that everybody may read."""
    said = frame.spoken()
    base = f"{made.instance.config.base_url}/"
    answers = post.in_reply_to
    seen = PostView(
        url=post.uri,
        # Sanitised when it came in, and once more here: a rule that grew stricter since then counts too.
        content=html.sanitise(post.content),
        warning=post.summary,
        language=post.language,
        direction=direction(post.language),
        date=date(times.moment(post.published)),
        day=said.day(times.moment(post.published)),
        edited=said.day(times.moment(post.updated)) if post.updated else None,
        reply_to=None if answers is None else here(made.instance, answers) if answers.startswith(base) else answers,
        reply_here=answers is not None and answers.startswith(base),
        poll=None if poll is None else _poll(poll, made.instance.clock.now(), said),
    )
    return made.page("post.html", actor=ActorView.of(author), post=seen, description=post.summary or html.to_text(seen.content)[:200])
