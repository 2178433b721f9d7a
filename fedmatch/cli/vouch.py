"""For whom do we give our word? `fedmatch vouch`."""

from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Group, Json, fail, say, staff, table, within

if TYPE_CHECKING:
    from actors.instance import Instance
    from actors.known import Actor
    from fedmatch.safety.vouches import Issued
    from schemas.storage import Transaction

METHOD = click.Choice(["in-person", "documents", "video-call", "known-organisation", "references", "other"])


@click.group(cls=Group)
def vouch() -> None:
    """Our instance's word for people, here and elsewhere: issue, list, revoke."""


async def somebody(instance: "Instance", words: str) -> "Actor":
    """The actor that a handle or an id names, here or elsewhere, looked up if need be; ends the command if there is none."""
    from actors import known, remote
    from fedmatch import people

    if "://" not in words:
        try:
            return await people.find(instance, words)
        except people.NotFound as error:
            fail(str(error))
    held = await instance.database.read(known.by_uri, words)
    found = held if held is not None and held.local else await remote.actor(instance, words, budget=remote.Budget(people.BUDGET))
    if isinstance(found, remote.FetchFailed):
        fail(f"{words} was not found: {found.why}")
    return found


def _json(one: "Issued") -> dict[str, Json]:
    said = one.vouch
    return {
        "id": str(one.id),
        "url": said.id,
        "about": said.subject,
        "level": said.level,
        "method": said.method,
        "state": one.state,
        "issued": f"{said.issued:%Y-%m}",
        "expires": f"{said.expires:%Y-%m-%d}",
        "given": list(one.given),
    }


@vouch.command()
@click.argument("who", metavar="HANDLE_OR_URL")
@click.option("--level", required=True, type=click.IntRange(0, 5), help="How sure: 0 (looked at, nothing found) to 3; 4 and 5 come from `fedmatch vet` alone.")
@click.option("--method", required=True, type=METHOD, help="How it was found out, coarsely.")
@click.option("--as", "name", metavar="NAME", help="Which moderator or admin decides it, for the log (default: whoever runs this instance).")
@click.option("--reason", metavar="TEXT", help="Why; stays in the log, sealed.")
def issue(who: str, level: int, method: str, name: str | None, reason: str | None) -> None:
    """Vouch for somebody, until the beginning of a month at most 90 days ahead. What said more of them ends with it."""
    from typing import cast

    from fedmatch.safety import audit, vetting, vouches
    from schemas.objects import VouchMethod

    async def work(instance: "Instance") -> None:
        decides = None if name is None else await staff(instance, name)
        by = audit.OPERATOR if decides is None else decides.username

        async def body(tx: "Transaction") -> "Issued":
            if decides is not None and (subject.id == decides.id or await vetting.same_person(tx, subject, decides)):
                raise vouches.CannotVouch("nobody vouches for themselves; another moderator or admin does")
            made = await vouches.issue(tx, instance, subject, level, cast(VouchMethod, method), staff=by, reason=reason)
            return next(one for one in await vouches.list_all(tx, subject.uri) if one.vouch.id == made.id)

        subject = await somebody(instance, who)
        try:
            made = await instance.database.write(body)
        except vouches.CannotVouch as error:
            fail(str(error))
        instance.wake("delivery")
        say(_json(made), f"Vouch {made.id}: {who}, level {level}, until {made.vouch.expires:%Y-%m-%d}. It travels only with what they send to one receiver.")

    within(work)


@vouch.command("list")
@click.option("--about", "who", metavar="HANDLE_OR_URL", help="Only of this person.")
@click.option("--all", "every", is_flag=True, help="Also what ended.")
def list_(who: str | None, every: bool) -> None:
    """List our vouches, the latest first, and the hosts that were given them."""
    from fedmatch.safety import vouches

    async def work(instance: "Instance") -> None:
        subject = None if who is None else (await somebody(instance, who)).uri
        found = await instance.database.read(vouches.list_all, subject)
        shown = [one for one in found if every or one.state in ("issued", "lowered")]
        heads = ("id", "about", "level", "method", "state", "until", "given to")
        rows = [
            (str(one.id), one.vouch.subject, str(one.vouch.level), one.vouch.method, one.state, f"{one.vouch.expires:%Y-%m-%d}", ", ".join(one.given))
            for one in shown
        ]
        say([_json(one) for one in shown], table(heads, rows, empty="We vouch for nobody yet."))

    within(work)


@vouch.command()
@click.argument("which", metavar="ID_OR_URL")
@click.option("--as", "name", metavar="NAME", help="Which moderator or admin decides it, for the log (default: whoever runs this instance).")
@click.option("--reason", metavar="TEXT", help="Why; stays in the log, sealed.")
def revoke(which: str, name: str | None, reason: str | None) -> None:
    """Take our word for somebody back: this vouch, and any other for them. The hosts that were given one are told, and nobody else."""
    from fedmatch.safety import audit, vouches
    from schemas.states import IllegalMove

    async def work(instance: "Instance") -> None:
        by = audit.OPERATOR if name is None else (await staff(instance, name)).username

        async def body(tx: "Transaction") -> "Issued":
            return await vouches.revoke(tx, instance, which, staff=by, reason=reason)

        try:
            gone = await instance.database.write(body)
        except vouches.NoVouch as error:
            fail(str(error))
        except IllegalMove as error:
            fail(f"this vouch is {error.state} already: it is in force no more, and nothing is left to take back")
        instance.wake("delivery")
        say(_json(gone), f"Revoked: {gone.vouch.subject}. Told: {', '.join(gone.given) or 'nobody, for nobody has it'}.")

    within(work)
