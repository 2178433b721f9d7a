"""Does it still stand? What others said and took back, kept by the ids of their activities, so that it ends alike in whatever order it comes.

An Undo may overtake what it undoes, come twice, or name it by an id nobody knows (Lemmy draws a fresh one). So no activity is applied by itself: each id is
written down with what is known of it, and of everything one actor said of one thing (a Follow, a Like, ... of an object) something stands as long as more of
it was said than taken back. That is a function of a set of ids, and sets have no order. An Undo of an id nobody knows takes down what stands; should that id
turn up after all, the two belong together, and what was taken down stands again.

    say         an activity came        -> the id that stands now, or None
    take_back   its Undo came           -> what it was about, as far as we know
    standing    the same question again
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from actors import hosts
from actors.known import Actor
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

Kind = Literal["Follow", "Announce", "Like", "EmojiReact", "Block"]

LATE_MS: Final = 10 * 60 * 1000
"""Within this an activity that comes again after its Undo is a copy that was late; after it, it is meant anew (Misskey's Follow always has the same id)."""
KEEP_MS: Final = 24 * 3600 * 1000
"""How long what was taken back is remembered; Mastodon remembers 6 hours."""


@dataclass(frozen=True, slots=True)
class About:
    """What an activity spoke of: `kind` is "" for an id we only know an Undo of. `detail` is the emoji of an EmojiReact."""

    kind: Kind | Literal[""]
    object: Iri
    detail: str = ""


SAY: Final = """
insert into said (actor_id, uri, kind, object, detail, said, changed_at)
values (:actor_id, :uri, :kind, :object, :detail, 1, :now)
on conflict (actor_id, uri) do update
set kind = excluded.kind, object = excluded.object, detail = excluded.detail, said = 1,
  undone = case when said.said = 1 and said.undone = 1 and said.changed_at < :late then 0 else said.undone end,
  changed_at = case when said.said = 1 and said.undone = 1 and said.changed_at >= :late then said.changed_at else excluded.changed_at end
where said.kind = ''
   or (said.kind = excluded.kind and said.object = excluded.object and said.detail = excluded.detail)
"""

TAKE_BACK: Final = """
insert into said (actor_id, uri, kind, object, detail, undone, took, changed_at)
values (:actor_id, :uri, :kind, :object, :detail, 1, :took, :now)
on conflict (actor_id, uri) do update
set undone = 1, changed_at = excluded.changed_at,
  kind = case when said.kind = '' then excluded.kind else said.kind end,
  object = case when said.kind = '' then excluded.object else said.object end,
  detail = case when said.kind = '' then excluded.detail else said.detail end
returning kind, object, detail
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


async def say(tx: Transaction, instance: "Instance", actor: Actor, about: About, uri: Iri) -> Iri | None:
    """Writes down that the proven `actor` said this under `uri`: the id that stands now (this one, or one that came before), None if nothing does.

    None as well for an id that is not on the actor's own origin, or that meant something else before.
    """
    if not hosts.same_origin(uri, actor.uri):
        return None
    now = instance.clock.ms()
    known = await tx.execute(SAY, actor_id=actor.id, uri=uri, kind=about.kind, object=about.object, detail=about.detail, now=now, late=now - LATE_MS)
    return await standing(tx, actor, about) if known else None


async def take_back(tx: Transaction, instance: "Instance", actor: Actor, uri: Iri, about: About | None) -> About | None:
    """Writes down that the proven `actor` took back what it said under `uri`; `about` is what its Undo says that was, None for a bare id.

    Gives what we know it was about, which is `kind` "" if we know nothing yet; None for an id that is not the actor's to take back.
    """
    if not hosts.same_origin(uri, actor.uri):
        return None
    meant = about or About("", uri)
    took = await standing(tx, actor, meant) is not None
    row = await tx.one(
        TAKE_BACK, actor_id=actor.id, uri=uri, kind=meant.kind, object=meant.object, detail=meant.detail, took=int(took), now=instance.clock.ms()
    )
    return meant if row is None else About(row["kind"], Iri(row["object"]), row["detail"])


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
