"""Does it still stand? What others said and took back, kept by the ids of their activities, so that it ends alike in whatever order it comes.

An Undo may overtake what it undoes, come twice, or name it by an id nobody knows (Lemmy draws a fresh one). So no activity is applied by itself: each id is
written down with what is known of it, and of everything one actor said of one thing (a Follow, a Like, ... of an object) something stands as long as more of
it was said than taken back. That is a function of a set of ids, and sets have no order. An Undo of an id nobody knows takes down what stands; should that id
turn up after all, the two belong together, and what was taken down stands again.

Misskey has one id for ever for every follow between two people. So an id that was said, taken back and said again stands if that is how its sender signed it:
once before the Undo and once after it. A late copy was signed before; a replay never comes this far, since its signature is known (inbox/arrivals.py).

    say         an activity came        -> the id that stands now, or None
    take_back   its Undo came           -> what it was about, as far as we know
    standing    the same question again
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from actors import hosts
from actors.known import Actor
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

Kind = Literal["Follow", "Announce", "Like", "EmojiReact", "Block"]

LATE_MS: Final = 10 * 60 * 1000
"""Where no signature says when something was said: within this, what comes again after its Undo is a copy that was late; after it, it is meant anew."""
KEEP_MS: Final = 24 * 3600 * 1000
"""How long what was taken back is remembered; Mastodon remembers 6 hours."""


@dataclass(frozen=True, slots=True)
class About:
    """What an activity spoke of: `kind` is "" for an id we only know an Undo of. `detail` is the emoji of an EmojiReact."""

    kind: Kind | Literal[""]
    object: Iri
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Known:
    """What is written down of one id; times are those of signatures, in ms."""

    about: About
    said: bool = False
    undone: bool = False
    first_at: int | None = None
    last_at: int | None = None
    undone_at: int | None = None
    changed_at: int = 0

    @property
    def anew(self) -> bool:
        """Whether it was signed before its Undo and once more after it."""
        return self.undone_at is not None and self.first_at is not None and self.last_at is not None and self.first_at < self.undone_at < self.last_at


SELECT: Final = """
select said.kind, said.object, said.detail, said.said, said.undone, said.first_at, said.last_at, said.undone_at, said.changed_at
from said
where said.actor_id = :actor_id
  and said.uri = :uri
"""

WRITE: Final = """
insert into said (actor_id, uri, kind, object, detail, said, undone, took, first_at, last_at, undone_at, changed_at)
values (:actor_id, :uri, :kind, :object, :detail, :said, :undone, :took, :first_at, :last_at, :undone_at, :changed_at)
on conflict (actor_id, uri) do update
set kind = excluded.kind, object = excluded.object, detail = excluded.detail, said = excluded.said, undone = excluded.undone, first_at = excluded.first_at,
  last_at = excluded.last_at, undone_at = excluded.undone_at, changed_at = excluded.changed_at
"""

SUM: Final = """
select coalesce(sum(case when said.said = 1 then 1 - said.undone else - said.took end), 0) as total
from said
where said.actor_id = :actor_id
  and said.kind = :kind
  and said.object = :object
  and said.detail = :detail
"""

LATEST: Final = """
select said.uri
from said
where said.actor_id = :actor_id
  and said.kind = :kind
  and said.object = :object
  and said.detail = :detail
  and said.said = 1
  and said.undone = 0
order by said.changed_at desc, said.uri desc
limit 1
"""


async def say(tx: Transaction, instance: "Instance", actor: Actor, about: About, uri: Iri, at: int = 0) -> Iri | None:
    """Writes down that the proven `actor` said this under `uri`: the id that stands now (this one, or one that came before), None if nothing does.

    `at` is when it was signed, in ms, 0 where no signature says. None as well for an id that is not on the actor's own origin, or that meant something else.
    """
    if not hosts.same_origin(uri, actor.uri):
        return None
    now = instance.clock.ms()
    before = await _known(tx, actor, uri)
    if before is None:
        await _write(tx, actor, uri, _Known(about, said=True, first_at=at or None, last_at=at or None, changed_at=now))
        return await standing(tx, actor, about)
    if before.about.kind and before.about != about:
        return None
    after = replace(before, about=about, said=True, first_at=_least(before.first_at, at), last_at=_most(before.last_at, at), changed_at=now)
    if at and before.undone_at is not None:
        after = replace(after, undone=not after.anew)
    elif before.said and before.undone:
        late = before.changed_at >= now - LATE_MS
        after = replace(after, undone=late, changed_at=before.changed_at if late else now)
    await _write(tx, actor, uri, after)
    return await standing(tx, actor, about)


async def take_back(tx: Transaction, instance: "Instance", actor: Actor, uri: Iri, about: About | None, at: int = 0) -> About | None:
    """Writes down that the proven `actor` took back what it said under `uri`; `about` is what its Undo says that was, None for a bare id; `at` as for `say`.

    Gives what we know it was about, which is `kind` "" if we know nothing yet; None for an id that is not the actor's to take back.
    """
    if not hosts.same_origin(uri, actor.uri):
        return None
    meant = about or About("", uri)
    now = instance.clock.ms()
    before = await _known(tx, actor, uri)
    if before is None:
        took = await standing(tx, actor, meant) is not None
        await _write(tx, actor, uri, _Known(meant, undone=True, undone_at=at or None, changed_at=now), took=took)
        return meant
    after = replace(before, about=before.about if before.about.kind else meant, undone_at=_most(before.undone_at, at), changed_at=now)
    after = replace(after, undone=not (at and after.anew))
    await _write(tx, actor, uri, after)
    return after.about


async def _known(tx: Transaction, actor: Actor, uri: Iri) -> _Known | None:
    row = await tx.one(SELECT, actor_id=actor.id, uri=uri)
    if row is None:
        return None
    about = About(row["kind"], Iri(row["object"]), row["detail"])
    return _Known(about, bool(row["said"]), bool(row["undone"]), row["first_at"], row["last_at"], row["undone_at"], row["changed_at"])


async def _write(tx: Transaction, actor: Actor, uri: Iri, what: _Known, *, took: bool = False) -> None:
    about = what.about
    await tx.execute(
        WRITE,
        actor_id=actor.id,
        uri=uri,
        kind=about.kind,
        object=about.object,
        detail=about.detail,
        said=int(what.said),
        undone=int(what.undone),
        took=int(took),  # of a row that is new; afterwards it stays as it is
        first_at=what.first_at,
        last_at=what.last_at,
        undone_at=what.undone_at,
        changed_at=what.changed_at,
    )


def _least(known: int | None, at: int) -> int | None:
    return known if not at else at if known is None else min(known, at)


def _most(known: int | None, at: int) -> int | None:
    return known if not at else at if known is None else max(known, at)


async def standing(tx: Transaction, actor: Actor, about: About) -> Iri | None:
    """The latest id of what the actor said of this that stands, or None."""
    values = {"actor_id": actor.id, "kind": about.kind, "object": about.object, "detail": about.detail}
    total = await tx.one(SUM, **values)
    if total is None or total["total"] <= 0:
        return None
    row = await tx.one(LATEST, **values)
    return None if row is None else Iri(row["uri"])


FORGET_PAIRS: Final = """
delete from said
where said = 1
  and undone = 1
  and changed_at < :before
"""

FORGET_FALLEN: Final = """
delete from said
where changed_at < :before
  and (
    select case when sum(case when other.said = 1 then 1 - other.undone else - other.took end) <= 0 and max(other.changed_at) < :before then 1 else 0 end
    from said as other
    where other.actor_id = said.actor_id
      and other.kind = said.kind
      and other.object = said.object
      and other.detail = said.detail
  ) = 1
"""


async def forget(tx: Transaction, instance: "Instance") -> int:
    """Deletes what was taken back a day ago and more; how many rows. What stands stays: its Undo may still come."""
    before = instance.clock.ms() - KEEP_MS
    return await tx.execute(FORGET_PAIRS, before=before) + await tx.execute(FORGET_FALLEN, before=before)
