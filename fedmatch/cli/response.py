"""How do answers stand, and what is said? `fedmatch response`, `fedmatch message`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Command, Group, fail, further, hint, id_of, person, say, table, text_of, within
from fedmatch.cli.respond import asked_to_send

if TYPE_CHECKING:
    from actors.instance import Instance
    from actors.known import Actor
    from fedmatch.board.answers import Json, Response
    from fedmatch.board.checks import Asks
    from fedmatch.safety.linter import Finding
    from schemas.states import IllegalMove
    from schemas.storage import Transaction

    Step = Callable[[Transaction, Instance, Actor, Response], Awaitable[Response | None]]


@click.group(cls=Group)
def response() -> None:
    """Answers to requests and offers: list, open, accept, decline, withdraw, complete."""


INTRODUCTION = id_of("introduction", "fedmatch response introduce ID --as NAME")
AS = click.option("--as", "name", required=True, metavar="NAME", help="Who does it.")


async def _mine(tx: "Transaction", instance: "Instance", me: "Actor") -> "list[Actor]":
    """The person and their one-time identities."""
    from actors import known
    from fedmatch.board import identities

    found = [await known.by_id(tx, one) for one in await identities.mine(tx, instance, me)]
    return [actor for actor in found if actor is not None]


async def _whole(tx: "Transaction", instance: "Instance", one: "Response", readers: "Sequence[Actor]") -> "dict[str, Json]":
    from fedmatch.board import conversations, guests

    said = await conversations.messages(tx, instance, one, after=await guests.reads_after(tx, instance, one, readers))
    let_in = await guests.of(tx, instance, one)
    messages: list[Json] = [dict(message.json()) for message in said]
    others: list[Json] = [{"who": guest.handle, "role": guest.role, "admitted": guest.admitted} for guest in let_in]
    form = one.json()
    if not any(one.of_asker(reader) or one.of_helper(reader) for reader in readers):
        form |= {"text": "", "reason": None}  # what was said before a guest came was not said to them
    return {**form, "messages": messages, "guests": others}


@response.command("list")
@AS
@click.option("--listing", "which", metavar="ID_OR_URL", help="Only those to one request or offer.")
def list_(name: str, which: str | None) -> None:
    """List the answers NAME got and gave: those of vouched people first, then the newest."""

    async def work(instance: "Instance") -> None:
        me = await person(instance, name)
        found = await instance.database.write(_list, instance, me, which)
        rows = [(str(one["id"]), str(one["state"]), str(one["tray"]), str(one["from"]), str(one["to"]), str(one["title"])) for one in found]
        say(found, table(("id", "state", "tray", "from", "to", "title"), rows, empty="Nothing was answered yet."))

    within(work)


async def _list(tx: "Transaction", instance: "Instance", me: "Actor", which: str | None) -> "list[dict[str, Json]]":
    from fedmatch.board import answers, guests, listings, trays

    found: dict[int, Response] = {}
    mine = await _mine(tx, instance, me)
    for actor in mine:
        await trays.lift(tx, instance, actor)
        await trays.put_away(tx, instance, actor)
        found |= {one.id: one for one in await answers.of_actor(tx, instance, actor)}
        found |= {one.id: one for one in await guests.guest_of(tx, instance, actor)}
    listing = None if which is None else await listings.find(tx, instance, which)
    names = {which} if listing is None else {which, listing.url}
    if which is not None and listing is None and all(which != one.words.listing for one in found.values()):
        fail(f"there is no request or offer {which} here; `fedmatch listing list --network` shows what is known")
    ordered = sorted(found.values(), key=lambda one: (one.tray != "vouched", -one.id))
    return [await _whole(tx, instance, one, mine) for one in ordered if which is None or not names.isdisjoint((one.words.listing, str(one.words.listing_id)))]


def _do(which: str, name: str, step: "Step", done: str, *, asked: "Callable[[Asks], None] | None" = None) -> None:
    """Finds the answer and the identity of NAME that is part of it, does one step, and shows how it stands then.

    `asked` puts what has to be asked before words leave, and ends the command without a yes.
    """

    async def work(instance: "Instance") -> None:
        from fedmatch.board import answers, checks, conversations, crossing
        from schemas.states import IllegalMove

        me = await person(instance, name)

        async def body(tx: "Transaction") -> "tuple[Response, dict[str, Json]]":
            held, actor = await _find(tx, instance, which, me)
            now = await step(tx, instance, actor, held) or held
            return now, await _whole(tx, instance, now, [actor])

        try:
            try:
                now, form = await instance.database.write(body)
            except checks.Asks as error:
                if asked is None:
                    raise
                asked(error)
                now, form = await instance.database.write(body)
        except IllegalMove as error:
            fail(_cannot(error))
        except (answers.CannotAnswer, crossing.CannotReach) as error:
            fail(str(error))
        instance.wake("delivery")
        instance.wake("job")
        hint(conversations.channel(now) if now.live else None)
        text = "\n".join(f"{key + ':':<13}{_line(value)}" for key, value in form.items() if value not in (None, [], "", False))
        say(form, done.format(id=now.id) if done else text)

    within(work)


def _cannot(error: "IllegalMove") -> str:
    """Why an answer does not go where somebody wants it, and what they can do instead."""
    if error.state == error.to:
        return f"this answer is {error.state} already; nothing was done"
    if not error.allowed:
        return f"this answer is {error.state}, which is its end: {error.state} cannot become {error.to}"
    if (error.state, error.to) == ("accepted", "declined"):
        return "this answer is accepted already; `fedmatch response complete --failed` ends it"
    if error.to in ("completed", "failed"):
        return f"this answer is {error.state}: it ends so only once it was accepted; until then it is declined or withdrawn"
    return f"this answer is {error.state}: {error.state} cannot become {error.to}, only {', '.join(sorted(error.allowed))}"


def _line(value: "Json") -> str:
    """A value for people: what was said stands a message a line, its further lines further in, so that no message passes for two."""
    if isinstance(value, list):
        return "".join(f"\n  {further(' - '.join(_part(name, part) for name, part in one.items()))}" if isinstance(one, dict) else f"{one} " for one in value)
    return further(str(value))


def _part(name: str, value: "Json") -> str:
    return str(value) if name != "admitted" else "let in by both sides" if value else "waits for the other side"


async def _find(tx: "Transaction", instance: "Instance", which: str, me: "Actor") -> "tuple[Response, Actor]":
    from fedmatch.board import answers, guests, trays
    from fedmatch.board.answers import CannotAnswer

    held = await answers.find(tx, instance, which)
    if held is not None:
        for actor in await _mine(tx, instance, me):
            shown = held.of_asker(actor) and held.side != "helper" and held.tray != "held" and not await trays.blocked_since(tx, instance, actor, held)
            if shown or (held.of_helper(actor) and held.side != "asker"):
                return held, actor
        if await guests.is_guest(tx, instance, held, me):
            return held, me
    raise CannotAnswer(f"there is no answer {which} to or from {me.username}; `fedmatch response list --as {me.username}` shows them")


@response.command("open")
@click.argument("which", metavar="ID")
@AS
def open_(which: str, name: str) -> None:
    """Consider an answer: show it, and mark it as opened. At most three are open at once. Whoever gave it may show it, too."""

    async def step(tx: "Transaction", instance: "Instance", actor: "Actor", held: "Response") -> "Response | None":
        from fedmatch.board import responses

        return await responses.open_(tx, instance, actor, held) if held.of_asker(actor) and held.state == "sent" else None

    _do(which, name, step, "")


@response.command()
@click.argument("which", metavar="ID")
@AS
def accept(which: str, name: str) -> None:
    """Take up an answer; a conversation opens (`fedmatch message`)."""

    async def step(tx: "Transaction", instance: "Instance", actor: "Actor", held: "Response") -> "Response":
        from fedmatch.board import responses

        return await responses.accept(tx, instance, actor, held)

    _do(which, name, step, "Accepted: {id}")


@response.command()
@click.argument("which", metavar="ID")
@AS
@click.option("--kind", type=click.Choice(["found", "fit", "check", "other"]), default="other", show_default=True, help="Why, in one word.")
@click.option("--reason", help="Why, in words for the other side.")
def decline(which: str, name: str, kind: str, reason: str | None) -> None:
    """Refuse an answer: help was found, it does not fit, it cannot be checked, or something else."""

    async def step(tx: "Transaction", instance: "Instance", actor: "Actor", held: "Response") -> "Response":
        from fedmatch.board import responses

        return await responses.decline(tx, instance, actor, held, kind, reason)  # type: ignore[arg-type]  # click lets no other word pass

    _do(which, name, step, "Declined: {id}")


@response.command()
@click.argument("which", metavar="ID")
@AS
def withdraw(which: str, name: str) -> None:
    """Take back an answer that NAME gave."""

    async def step(tx: "Transaction", instance: "Instance", actor: "Actor", held: "Response") -> "Response":
        from fedmatch.board import responses

        return await responses.withdraw(tx, instance, actor, held)

    _do(which, name, step, "Withdrawn: {id}")


@response.command()
@click.argument("which", metavar="ID")
@AS
@click.option("--failed", is_flag=True, help="It did not work out.")
def complete(which: str, name: str, failed: bool) -> None:
    """Say that it is done, or that it did not work out; the other side is told."""

    async def step(tx: "Transaction", instance: "Instance", actor: "Actor", held: "Response") -> "Response":
        from fedmatch.board import responses

        return await responses.complete(tx, instance, actor, held, failed=failed)

    _do(which, name, step, "Failed: {id}" if failed else "Completed: {id}")


@response.command()
@click.argument("which", metavar="ID")
@AS
@click.option("--text", required=True, help="How it went, for the people who run this instance alone; `-` reads standard input.")
def feedback(which: str, name: str, text: str) -> None:
    """Say in private how it went; the other side never sees it."""
    words = text_of(text)

    async def step(tx: "Transaction", instance: "Instance", actor: "Actor", held: "Response") -> None:
        from fedmatch.board import introductions

        await introductions.feedback(tx, instance, actor, held, words)

    _do(which, name, step, "Kept: {id}")


@response.command()
@click.argument("which", metavar="ID")
@AS
@click.option("--text", help="The story; without it you agree to the one there is. `-` reads standard input.")
@click.option("--credit", metavar="NAME", help="How you wish to be named in it; without it you are not.")
@click.option("--anyway", is_flag=True, help="Propose words that may lead to somebody.")
@click.option("--withdraw", "back", is_flag=True, help="Take your consent back: it is shown no more, here or there.")
@click.option("--readable-there", is_flag=True, help="Agree that the administrators of the helper's ordinary server can read the words.")
def story(which: str, name: str, text: str | None, credit: str | None, anyway: bool, back: bool, readable_there: bool) -> None:
    """Propose, or agree to, a story of the outcome. When both sides agreed it stands with the listing, for all who may read that, until one takes it back."""
    words = None if text is None else text_of(text)
    if back and (words is not None or credit is not None):
        fail("--withdraw stands alone")

    async def work(instance: "Instance") -> None:
        from fedmatch.board import answers, crossing, stories

        me = await person(instance, name)

        async def body(tx: "Transaction") -> "tuple[stories.Story | None, bool, str | None]":
            held, actor = await _find(tx, instance, which, me)
            if back:
                heard = await stories.withdraw(tx, instance, actor, held)
                return await stories.of(tx, instance, held), heard, answers.readable_by(held)
            return await stories.tell(tx, instance, actor, held, words, credit=credit, anyway=anyway, readable_there=readable_there), True, None

        try:
            made, heard, host = await instance.database.write(body)
        except (answers.CannotAnswer, crossing.CannotReach) as error:
            fail(str(error))
        instance.wake("delivery")
        instance.wake("job")
        hint(None if heard else f"{host} is no trusted peer any more and could not be told; ask its administrators to take it off.")
        form: dict[str, Json] = {"text": made.text if made else None, "told": bool(made and made.told), "credits": list(made.credits) if made else []}
        say(form, "Taken back." if back else "Both sides agreed; it stands with the listing." if form["told"] else "Kept; the other side is asked.")

    within(work)


@response.command()
@click.argument("which", metavar="ID")
@AS
@click.option("--to", "recipient", metavar="WHO", help="Whoever helps proposes: the person or role to be introduced to.")
@click.option("--why", default="", help="Propose: why.")
@click.option("--agree", type=INTRODUCTION, metavar="NUMBER", help="Whoever needs help agrees to this one.")
@click.option("--refuse", type=INTRODUCTION, metavar="NUMBER", help="They do not, or not any more.")
@click.option("--passed", type=INTRODUCTION, metavar="NUMBER", help="Whoever helps notes that it was passed on; the other is told.")
def introduce(which: str, name: str, recipient: str | None, why: str, agree: int | None, refuse: int | None, passed: int | None) -> None:
    """Propose an introduction to a third person or role, or decide on one; without an option they are listed."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import answers, crossing, introductions

        me = await person(instance, name)

        async def body(tx: "Transaction") -> list[introductions.Introduction]:
            held, actor = await _find(tx, instance, which, me)
            if recipient is not None:
                await introductions.propose(tx, instance, actor, held, recipient, why)
            if agree is not None:
                await introductions.decide(tx, instance, actor, held, agree, agreed=True)
            if refuse is not None:
                await introductions.decide(tx, instance, actor, held, refuse, agreed=False)
            if passed is not None:
                await introductions.passed(tx, instance, actor, held, passed)
            return await introductions.shown(tx, instance, actor, held)

        try:
            found = await instance.database.write(body)
        except (answers.CannotAnswer, crossing.CannotReach) as error:
            fail(str(error))
        instance.wake("delivery")
        rows = [(str(one.id), one.state, one.to, one.why) for one in found]
        say([one.json() for one in found], table(("id", "state", "to", "why"), rows, empty="Nobody was introduced."))

    within(work)


@response.command()
@click.argument("which", metavar="ID")
@AS
@click.option("--guest", required=True, metavar="NAME", help="Somebody of this instance; or name@host of the other side's, whom it proposed.")
@click.option("--role", type=click.Choice(["interpreter", "matchmaker"]), default="interpreter", show_default=True)
@click.option("--leave", is_flag=True, help="They leave.")
def admit(which: str, name: str, guest: str, role: str, leave: bool) -> None:
    """Let a third person into one conversation; they are in when both sides did so."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import admissions, answers, crossing

        me = await person(instance, name)
        ours = None if "@" in guest.removeprefix("@") else await person(instance, guest)

        async def body(tx: "Transaction") -> "dict[str, Json]":
            held, actor = await _find(tx, instance, which, me)
            if leave:
                out = admissions.show_out(tx, instance, actor, held, guest) if ours is None else admissions.leave(tx, instance, actor, held, ours)
                if not await out:
                    raise answers.CannotAnswer(f"{guest} is not in this conversation; `fedmatch response open {which} --as {me.username}` shows who is")
            elif ours is None:
                await admissions.agree_to(tx, instance, actor, held, guest)
            else:
                await admissions.admit(tx, instance, actor, held, ours, role)
            return await _whole(tx, instance, held, [actor])

        try:
            form = await instance.database.write(body)
        except (answers.CannotAnswer, crossing.CannotReach) as error:
            fail(str(error))
        instance.wake("delivery")
        say(form, f"{guest} left." if leave else f"{guest} is let in by {name}.")

    within(work)


@response.command()
@AS
def shared(name: str) -> None:
    """List what NAME gave to whom (name, contact, place), also under one-time identities; it cannot be unseen. For NAME alone."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import disclosures

        me = await person(instance, name)

        async def look(tx: "Transaction") -> list[disclosures.Disclosure]:
            return [one for actor in await _mine(tx, instance, me) for one in await disclosures.of(tx, instance, actor)]

        found = [one.json() for one in await instance.database.read(look)]
        say(found, table(("at", "field", "to"), [(one["at"], one["field"], one["to"]) for one in found], empty="Nothing was shared."))

    within(work)


@click.command(cls=Command)
@click.argument("which", metavar="ID")
@AS
@click.option("--text", required=True, help="What to say; `-` reads standard input.")
@click.option("--readable-there", is_flag=True, help="The asker agrees, for this conversation, that the other server's administrators can read it.")
@click.option("--share", type=click.Choice(["name", "contact", "place"]), help="The text is this, given to the one counterpart, and noted for you.")
@click.option("--send-anyway", is_flag=True, help="Send it although the safety linter found something.")
def message(which: str, name: str, text: str, readable_there: bool, share: str | None, send_anyway: bool) -> None:
    """Say something in the conversation of an accepted answer. ID names the answer."""
    words = text_of(text)

    anyway, language = send_anyway, "en"
    worth_saying: list[Finding] = []

    async def step(tx: "Transaction", instance: "Instance", actor: "Actor", held: "Response") -> None:
        from fedmatch.board import answers, checks, conversations, disclosures

        nonlocal language
        language = held.words.language or "en"
        worth_saying.clear()
        if share is not None:
            await disclosures.disclose(tx, instance, actor, held, share, words)  # type: ignore[arg-type]  # click lets no other word pass
            return
        await conversations.say(tx, instance, actor, held, words, readable_there=readable_there, anyway=anyway)
        questions = await checks.of_message(tx, instance, actor, held, words)
        if questions.findings and not questions.serious and await answers.once(tx, instance, "found in what was said", str(held.id), actor.uri):
            worth_saying.extend(questions.findings)

    def asked(error: "Asks") -> None:
        nonlocal anyway
        anyway = asked_to_send(error.questions, language, anyway=anyway)

    _do(which, name, step, "Said in {id}", asked=asked)
    for one in worth_saying:
        hint(f"{one.field}: {one.words!r}: {one.why(language)} It was sent; of this conversation it is not said again.")
    hint(None if share is None else "What was seen cannot be unseen; `fedmatch response shared` lists to whom you gave what.")
