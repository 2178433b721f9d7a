"""Whom do we look at, and how far are we? `fedmatch vet`."""

from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Group, Json, fail, further, id_of, say, staff, table, text_of, within
from fedmatch.cli.vouch import METHOD, somebody

if TYPE_CHECKING:
    from actors.instance import Instance
    from fedmatch.safety.vetting import Case
    from schemas.objects import Vouch
    from schemas.storage import Transaction


CASE = id_of("case", "fedmatch vet list")


@click.group(cls=Group)
def vet() -> None:
    """Vetting in four steps: an initial look, a vettor you already trust, an evaluation, and for levels 4 and 5 a second person who signs off."""


def _json(one: "Case", vouch: "Vouch | None" = None) -> dict[str, Json]:
    from fedmatch.times import rfc3339

    return {
        "id": str(one.id),
        "state": one.state,
        "about": one.handle,
        "url": one.subject,
        "taken_by": one.taken_by,
        "proposed_by": one.proposed_by,
        "level": one.level,
        "method": one.method,
        "missing": list(one.missing),
        "notes": [{"step": note.step, "by": note.by, "text": note.text, "at": rfc3339(note.at)} for note in one.notes],
        "vouch": None if vouch is None else vouch.id,
        "changed": rfc3339(one.changed_at),
    }


def _missing(one: "Case") -> str:
    return ", ".join(one.missing) or (f"sign-off for {one.level}" if one.state == "proposed" else "")


@vet.command("list")
@click.option("--all", "every", is_flag=True, help="Also cases that ended.")
def list_(every: bool) -> None:
    """List the cases, what is missing in each, and what was noted."""
    from fedmatch.safety import vetting

    async def work(instance: "Instance") -> None:
        async def read(tx: "Transaction") -> "list[Case]":
            return list(await vetting.list_all(tx, instance, every=every))

        found = await instance.database.read(read)
        rows = [(str(one.id), one.state, one.handle, one.taken_by, _missing(one)) for one in found]
        said = [f"\n{one.id} {note.step}, {note.by}: {further(note.text)}" for one in found for note in one.notes]
        say([_json(one) for one in found], table(("id", "state", "about", "taken by", "missing"), rows, empty="Nobody is being vetted.") + "".join(said))

    within(work)


@vet.command()
@click.argument("who", metavar="HANDLE_OR_URL")
@click.option("--as", "name", required=True, metavar="NAME", help="Which moderator or admin looks at them.")
def take(who: str, name: str) -> None:
    """Open a case about somebody, here or on any other server, or take over the one that is open."""
    from fedmatch.safety import vetting

    async def work(instance: "Instance") -> None:
        by = await staff(instance, name)
        subject = await somebody(instance, who)
        try:
            case = await instance.database.write(vetting.take, instance, subject, by)
        except vetting.CannotVet as error:
            fail(str(error))
        say(_json(case), f"Case {case.id} about {case.handle}. Next: `fedmatch vet note {case.id} --step look --text -`")

    within(work)


@vet.command()
@click.argument("case", type=CASE)
@click.option("--as", "name", required=True, metavar="NAME", help="Which moderator or admin writes.")
@click.option("--step", required=True, type=click.Choice(["look", "vettor", "evaluation", "sign-off"]))
@click.option("--text", required=True, help="What came of it; `-` reads standard input.")
def note(case: int, name: str, step: str, text: str) -> None:
    """Write down what came of a step. Notes rest sealed and never leave."""
    from fedmatch.safety import vetting

    words = text_of(text)

    async def work(instance: "Instance") -> None:
        by = await staff(instance, name)
        try:
            changed = await instance.database.write(vetting.note, instance, case, step, words, by)
        except (vetting.NoCase, vetting.CannotVet) as error:
            fail(str(error))
        say(_json(changed), f"Noted. Missing: {', '.join(changed.missing) or 'nothing; `fedmatch vet decide` ends it'}")

    within(work)


@vet.command()
@click.argument("case", type=CASE)
@click.option("--as", "name", required=True, metavar="NAME", help="Which moderator or admin decides.")
@click.option("--level", type=click.IntRange(0, 5), help="The level we vouch for; 4 and 5 need two of us to say the same.")
@click.option("--method", type=METHOD, help="How it was found out, coarsely.")
@click.option("--refuse", is_flag=True, help="We do not vouch for them.")
@click.option("--reason", metavar="TEXT", help="Why; stays in the log, sealed.")
def decide(case: int, name: str, level: int | None, method: str | None, refuse: bool, reason: str | None) -> None:
    """End a case: vouch, or refuse."""
    from typing import cast

    from fedmatch.safety import vetting
    from schemas.objects import VouchMethod

    if refuse == (level is not None):
        raise click.UsageError("Say either --level N or --refuse.")

    async def work(instance: "Instance") -> None:
        by = await staff(instance, name)

        async def body(tx: "Transaction") -> "tuple[Case, Vouch | None]":
            return await vetting.decide(tx, instance, case, by, level=level, method=cast("VouchMethod | None", method), reason=reason)

        try:
            ended, made = await instance.database.write(body)
        except (vetting.NoCase, vetting.CannotVet) as error:
            fail(str(error))
        instance.wake("delivery")
        said = {"refused": "refused", "vouched": f"vouched for, level {ended.level}", "proposed": f"proposed for {ended.level}; a second person signs off"}
        say(_json(ended, made), f"{ended.handle}: {said.get(ended.state, ended.state)}.")

    within(work)
