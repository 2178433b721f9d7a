"""How do we come to know whether somebody is who they say? Four steps, as networks of digital first responders take them (CiviCERT), and then a vouch.

    look         what is there to see: who are they, what do they want, what did others say
    vettor       somebody you already trust who knows them, asked by a way you trust
    evaluation   what all of it comes to, and what speaks against it
    sign-off     for levels 4 and 5: a second person, with an account of their own, decides the same

Whom, by whom and what was written rests sealed, also from whoever reads the log of staff; partners share the level and never the notes. The same person may be
looked at again later: each time is a case of its own. People on other servers, Mastodon's too, are vetted in the same way.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, get_args

import structlog

from actors import known
from actors.known import Actor
from fedmatch.safety import audit, vouches
from fedmatch.safety.vouches import SECOND_PERSON, CannotVouch
from schemas import vouches as wire
from schemas.objects import Vouch, VouchMethod
from schemas.reading import Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

Step = Literal["look", "vettor", "evaluation", "sign-off"]
State = Literal["open", "proposed", "vouched", "refused"]
STEPS: Final[tuple[str, ...]] = get_args(Step)
BEFORE: Final = ("look", "vettor", "evaluation")
"""What must be written down before anybody vouches."""
LONGEST_NOTE: Final = 20_000


class CannotVet(ValueError):
    """It cannot go on like this; the text says why and what to do."""


class NoCase(LookupError):
    """There is no such case."""


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote about one step; `at` in milliseconds UTC."""

    step: str
    by: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Case:
    """One look at one actor. `proposed_by` wants a vouch of `level`, which waits for a second person. Names are those of people here; times in ms UTC."""

    id: int
    state: State
    subject: str
    handle: str
    taken_by: str
    proposed_by: str | None
    level: int | None
    method: VouchMethod | None
    notes: tuple[Note, ...]
    created_at: int
    changed_at: int

    @property
    def missing(self) -> tuple[str, ...]:
        """The steps nobody wrote about yet."""
        done = {note.step for note in self.notes}
        return tuple(step for step in BEFORE if step not in done)


INSERT: Final = """
insert into vetting (id, subject_hash, state, sealed, created_at, changed_at)
values (:id, :subject_hash, 'open', :sealed, :now, :now)
"""

OPEN_OF: Final = """
select vetting.*
from vetting
where vetting.subject_hash = :subject_hash
  and vetting.state in ('open', 'proposed')
order by vetting.id desc
limit 1
"""

BY_ID: Final = """
select vetting.*
from vetting
where vetting.id = :id
"""

ALL: Final = """
select vetting.*
from vetting
where cast(:every as integer) = 1
   or vetting.state in ('open', 'proposed')
order by vetting.id desc
"""

CHANGE: Final = """
update vetting
set state = :state, sealed = :sealed, changed_at = :now
where id = :id
"""

INSERT_NOTE: Final = """
insert into vetting_note (id, vetting_id, step, sealed, created_at)
values (:id, :vetting_id, :step, :sealed, :now)
"""

NOTES: Final = """
select vetting_note.id, vetting_note.step, vetting_note.sealed, vetting_note.created_at
from vetting_note
where vetting_note.vetting_id = :vetting_id
order by vetting_note.id
"""

ACCOUNTS: Final = """
select membership.account_id
from membership
where membership.actor_id = :actor_id
"""


async def take(tx: Transaction, instance: "Instance", subject: Actor, by: Actor) -> Case:
    """Opens a case about an actor, here or elsewhere, or takes over the one that is open. Raises `CannotVet`, `Locked`."""
    if subject.kind == "Application" or not subject.active:
        raise CannotVet("instances are trusted, not vetted, and who is gone or suspended is not vetted either")
    if subject.local and subject.one_time:
        raise CannotVet("a one-time identity of ours has the word that its person has, and follows it; vet the person")
    if subject.id == by.id or await same_person(tx, subject, by):
        raise CannotVet("nobody vets themselves")
    mark = instance.vault.digest("vetting", subject.uri)
    row = await tx.one(OPEN_OF, subject_hash=mark)
    now = instance.clock.ms()
    if row is None:
        case = Case(instance.ids.new(), "open", subject.uri, subject.handle, by.username, None, None, None, (), now, now)
        await tx.execute(INSERT, id=case.id, subject_hash=mark, sealed=_sealed(instance, case), now=now)
    else:
        case = replace(await _case(tx, instance, row), taken_by=by.username)
        await _keep(tx, instance, case)
    await audit.log(tx, instance, by.username, "vet.take", str(case.id))
    return case


async def note(tx: Transaction, instance: "Instance", case_id: int, step: str, text: str, by: Actor) -> Case:
    """Writes down what came of one step. Raises `NoCase`, `CannotVet`, `Locked`."""
    if step not in STEPS:
        raise CannotVet(f"the steps are {', '.join(STEPS)}")
    if not text.strip() or len(text) > LONGEST_NOTE:
        raise CannotVet(f"a note has 1 to {LONGEST_NOTE} letters")
    case = await _open(tx, instance, case_id)
    await _write(tx, instance, case, step, text, by)
    await audit.log(tx, instance, by.username, "vet.note", f"{case.id} {step}")
    return await find(tx, instance, case_id)


async def _write(tx: Transaction, instance: "Instance", case: Case, step: str, text: str, by: Actor) -> None:
    number = instance.ids.new()
    written = json.dumps({"by": by.username, "text": text.strip()}).encode()
    sealed = instance.vault.seal(written, f"vetting_note:{number}")
    await tx.execute(INSERT_NOTE, id=number, vetting_id=case.id, step=step, sealed=sealed, now=instance.clock.ms())
    await _keep(tx, instance, case)


async def decide(
    tx: Transaction, instance: "Instance", case_id: int, by: Actor, *, level: int | None, method: VouchMethod | None = None, reason: str | None = None
) -> tuple[Case, Vouch | None]:
    """Ends a case: `level` None refuses, 0 to 3 vouches at once, 4 and 5 wait until a second person decides the same level by the same method (the one that was
    proposed, if none is said). The vouch, if one was issued.

    Raises `NoCase`, `CannotVet` while a step is missing or for the same person twice, `Locked`.
    """
    case = await _open(tx, instance, case_id)
    subject = await known.by_uri(tx, case.subject)
    if level is None:
        case = replace(case, state="refused", proposed_by=None, level=None)
        await _keep(tx, instance, case)
        await audit.log(tx, instance, by.username, "vet.decide", f"{case.id} refused", reason)
        return case, None
    if subject is None:
        raise CannotVet("whoever this is about is not known here any more; refuse, and take them anew by their handle")
    if subject.id == by.id or await same_person(tx, subject, by):
        raise CannotVet("nobody decides about themselves")
    if case.missing:
        raise CannotVet(f"nobody wrote about {', '.join(case.missing)} yet: `fedmatch vet note {case.id} --step {case.missing[0]} --text -`")
    chosen = method or case.method
    if chosen is None or not 0 <= level <= wire.HIGHEST:
        raise CannotVet(f"say a level from 0 to {wire.HIGHEST} and a method: {', '.join(wire.METHODS)}")
    if level < SECOND_PERSON:
        return await _vouched(tx, instance, case, subject, by, level, chosen, reason)
    first = None if case.proposed_by is None else await known.by_name(tx, case.proposed_by)
    # What somebody proposed who is silenced or gone since, or with another method, is not what this one says.
    if case.state == "proposed" and first is not None and first.active and case.level == level and case.method == chosen:
        if first.id == by.id or await same_person(tx, first, by):
            raise CannotVet(f"{case.proposed_by} proposed it; a second person with an account of their own signs off")
        await _write(tx, instance, case, "sign-off", reason or "agreed", by)
        await audit.log(tx, instance, by.username, "vet.sign-off", f"{case.id} {level}", reason)
        return await _vouched(tx, instance, await find(tx, instance, case.id), subject, by, level, chosen, reason)
    case = replace(case, state="proposed", proposed_by=by.username, level=level, method=chosen)
    await _keep(tx, instance, case)
    await audit.log(tx, instance, by.username, "vet.decide", f"{case.id} proposed {level}", reason)
    return case, None


async def _vouched(
    tx: Transaction, instance: "Instance", case: Case, subject: Actor, by: Actor, level: int, method: VouchMethod, reason: str | None
) -> tuple[Case, Vouch]:
    try:
        made = await vouches.issue(tx, instance, subject, level, method, staff=by.username, reason=reason, vetted=True)
    except CannotVouch as error:
        raise CannotVet(str(error)) from None
    case = replace(case, state="vouched", level=level, method=method)
    await _keep(tx, instance, case)
    await audit.log(tx, instance, by.username, "vet.decide", f"{case.id} {level}", reason)
    return case, made


async def same_person(tx: Transaction, one: Actor, other: Actor) -> bool:
    """Whether one account acts as both: then they are one person to us."""
    first = {row["account_id"] for row in await tx.all(ACCOUNTS, actor_id=one.id)}
    return not first.isdisjoint({row["account_id"] for row in await tx.all(ACCOUNTS, actor_id=other.id)})


async def find(tx: Transaction, instance: "Instance", case_id: int) -> Case:
    """The case with its notes. Raises `NoCase`, `Locked`."""
    row = await tx.one(BY_ID, id=case_id)
    if row is None:
        raise NoCase(f"there is no case {case_id}; `fedmatch vet list` shows them")
    return await _case(tx, instance, row)


async def list_all(tx: Transaction, instance: "Instance", *, every: bool = False) -> Sequence[Case]:
    """The cases that are open, the latest first; with `every` also those that ended. Raises `Locked`."""
    return [await _case(tx, instance, row) for row in await tx.all(ALL, every=int(every))]


async def _open(tx: Transaction, instance: "Instance", case_id: int) -> Case:
    case = await find(tx, instance, case_id)
    if case.state not in ("open", "proposed"):
        raise CannotVet(f"case {case_id} ended ({case.state}); take them anew")
    return case


def _sealed(instance: "Instance", case: Case) -> bytes:
    stated = {
        "subject": case.subject,
        "handle": case.handle,
        "taken_by": case.taken_by,
        "proposed_by": case.proposed_by,
        "level": case.level,
        "method": case.method,
    }
    return instance.vault.seal(json.dumps(stated).encode(), f"vetting:{case.id}")


async def _keep(tx: Transaction, instance: "Instance", case: Case) -> None:
    await tx.execute(CHANGE, id=case.id, state=case.state, sealed=_sealed(instance, case), now=instance.clock.ms())


async def _case(tx: Transaction, instance: "Instance", row: Row) -> Case:
    stated = json.loads(instance.vault.open(bytes(row["sealed"]), f"vetting:{row['id']}"))
    notes = []
    for one in await tx.all(NOTES, vetting_id=row["id"]):
        said = json.loads(instance.vault.open(bytes(one["sealed"]), f"vetting_note:{one['id']}"))
        notes.append(Note(one["step"], said["by"], said["text"], one["created_at"]))
    return Case(
        id=row["id"],
        state=row["state"],
        subject=stated["subject"],
        handle=stated["handle"],
        taken_by=stated["taken_by"],
        proposed_by=stated["proposed_by"],
        level=stated["level"],
        method=stated["method"],
        notes=tuple(notes),
        created_at=row["created_at"],
        changed_at=row["changed_at"],
    )
