"""What is asked for, what is offered? `fedmatch listing`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Group, anyway_of, delay_of, fail, hint, interactive, person, say, table, text_of, within

if TYPE_CHECKING:
    Given = str | int | bool | None

    from actors.instance import Instance
    from actors.known import Actor
    from fedmatch.board.checks import Questions
    from fedmatch.board.drafts import Widening
    from fedmatch.board.listings import Json, Listing
    from fedmatch.board.stories import Story
    from fedmatch.board.terms import Terms
    from schemas.objects import Need, Proposal
    from schemas.states import IllegalMove
    from schemas.storage import Transaction


@click.group(cls=Group)
def listing() -> None:
    """Requests and offers: post, list, search, show, edit, renew, pause, reopen, fulfil, withdraw."""


def _several(values: tuple[str, ...]) -> tuple[str, ...]:
    """Words given one by one or with commas between."""
    return tuple(dict.fromkeys(word.strip() for value in values for word in value.split(",") if word.strip()))


URGENCY = click.Choice(["hours", "days", "weeks", "anytime"])
KIND = click.Choice(["request", "offer"])
SUGGEST = click.Choice(["me", "helpers", "matchmakers"])
CONSENT = click.Choice(["asked", "guardian", "family", "lawyer", "cannot-be-asked"])
STAYS = (
    "This request stays on this instance, because no audience was named. `fedmatch listing edit {id} --audience network` gives it to all trusted peers,"
    " `--audience public` to everybody."
)
WIDEN = "It is for this instance alone. Give it to all trusted peers as well, as soon as it may leave?"
UNSEEN = (
    "What was seen cannot be unseen: whoever loses it now is told to delete it, and may have kept what they read."
    " `fedmatch listing show {id}` says which peers had it."
)
ANEW = "It was posted anew: the old one was withdrawn from everybody who may hold it, and this one has an id of its own."


@listing.command()
@click.option("--as", "name", required=True, metavar="NAME", help="Whose request or offer it is.")
@click.option("--kind", required=True, type=KIND)
@click.option("--title", required=True, help="One line.")
@click.option("--text", required=True, help="The whole of it; `-` reads standard input.")
@click.option("--language", metavar="CODE", help="The language of title and text, as in ar, en, zh-Hans; else what they seem to be in, as a terminal asks.")
@click.option("--translation", nargs=3, multiple=True, metavar="CODE TITLE TEXT", help="Title and text in another language; may be given more than once.")
@click.option("--category", required=True, multiple=True, metavar="SLUG", help="The field of help, as in LegalAid.")
@click.option("--skill", multiple=True, metavar="SLUG", help="A skill, as in AsylumLaw; may be given more than once.")
@click.option("--speaks", multiple=True, metavar="CODES", help="Languages to talk in, as in ar,en.")
@click.option("--only-speaks", is_flag=True, help="Only people who speak one of these languages are asked.")
@click.option("--region", metavar="CODE", help="The country it is about, as in SY.")
@click.option("--helper-region", metavar="CODE", help="Where the helper should be, as in DE.")
@click.option("--only-region", is_flag=True, help="Only people in that region are asked.")
@click.option("--urgency", type=URGENCY, help="How soon.")
@click.option("--until", metavar="DATE", help="The deadline: 2026-12-31, or a moment with time and zone.")
@click.option("--expires", metavar="DATE", help="When it closes unless it is renewed (default: the deadline, else in 30 days).")
@click.option("--capacity", type=int, metavar="N", help="How many people an offer has room for, or how many helpers a request wants.")
@click.option("--need", multiple=True, metavar="NAME[=N]", help="A named part of a request, and how many of it are wanted; may be given more than once.")
@click.option("--equipment", multiple=True, metavar="NAME[=N]", help="The same for things instead of work.")
@click.option("--audience", metavar="WHO", help="public, network, peers:HOST,... or local (default: an offer public, a request local).")
@click.option("--then-network", is_flag=True, help="If it is for this instance alone: all trusted peers get it once a reviewer let it pass, or at once.")
@click.option("--floor", metavar="N[:ISSUER,...]", help="How well readers must be vouched for, if it is not public (default 1; 0 is every helper).")
@click.option("--answer-floor", metavar="N[:ISSUER,...]", help="How well somebody must be vouched for to answer (default 0).")
@click.option("--exclude", multiple=True, metavar="CODES", help="Countries, as in RU,CN: no peer that answers to one, or states none, gets it; nobody hears.")
@click.option("--suggest-to", type=SUGGEST, help="Whom to tell what fits it: me (default), helpers too, or matchmakers alone. Stays here.")
@click.option("--embargo", metavar="DATE", help="Nothing of it leaves before then.")
@click.option("--follow-up-of", metavar="ID_OR_URL", help="The listing that it follows up on.")
@click.option("--link-identities", is_flag=True, help="Follow up on a listing of another identity of yours: everybody sees that they belong together.")
@click.option("--on-behalf-of", metavar="WHO", help="For whom you speak, in words that stay here.")
@click.option("--consent", type=CONSENT, help="Why you may speak for them.")
@click.option("--by", metavar="NAME", help="Which operator acts, if NAME is a group; nobody outside sees it.")
@click.option("--one-time", is_flag=True, help="Post it under an identity made for this listing alone.")
@click.option("--delay", metavar="HOURS", help="When it leaves: 0 (at once), 6h, 2-12h (at random between the two).")
@click.option("--publish-anyway", is_flag=True, help="Publish it although the safety linter found something.")
def post(
    name: str,
    kind: str,
    title: str,
    text: str,
    language: str | None,
    translation: tuple[tuple[str, str, str], ...],
    category: tuple[str, ...],
    skill: tuple[str, ...],
    speaks: tuple[str, ...],
    only_speaks: bool,
    region: str | None,
    helper_region: str | None,
    only_region: bool,
    urgency: str | None,
    until: str | None,
    expires: str | None,
    capacity: int | None,
    need: tuple[str, ...],
    equipment: tuple[str, ...],
    audience: str | None,
    then_network: bool,
    floor: str | None,
    answer_floor: str | None,
    exclude: tuple[str, ...],
    suggest_to: str | None,
    embargo: str | None,
    follow_up_of: str | None,
    link_identities: bool,
    on_behalf_of: str | None,
    consent: str | None,
    by: str | None,
    one_time: bool,
    delay: str | None,
    publish_anyway: bool,
) -> None:
    """Publish a request or an offer: to everybody, to trusted peers, or on this instance alone."""
    words = text_of(text)
    seems = None if language else _seems(title, words)
    # A guess fills in what somebody sees and may change; where nobody sits it is told as one.
    asks = interactive() and text != "-"
    language = language or (click.prompt("Language of title and text", default=seems or "en", err=True) if asks else None)
    spoken = language or seems or "en"
    skill = skill or (_chosen(title, words) if asks else ())

    async def work(instance: "Instance") -> None:
        from fedmatch.board import checks, identities, publish
        from fedmatch.board import terms as demands
        from fedmatch.safety import border
        from schemas.listings import Invalid, validated
        from schemas.objects import Translation

        author = await person(instance, name)
        operator = await _operator(instance, author, by)
        try:
            proposal = validated(
                kind,
                title,
                words,
                spoken,
                _several(category),
                _several(skill),
                _several(speaks),
                region=region,
                urgency=urgency,
                until=until,
                expires=expires,
                helper_region=helper_region,
                only_speaks=only_speaks,
                only_region=only_region,
                capacity=capacity,
                needs=(*(_need(one) for one in need), *(_need(one, equipment=True) for one in equipment)),
                translations=[Translation(*one) for one in translation],
                now=instance.clock.now(),
            )
            reach, named = demands.audience(audience) if audience else (publish.usual_audience(proposal.purpose), ())
            widen = _widening(then_network, reach, asked=audience is None)
            wishes = _wishes(instance, floor, answer_floor, exclude, embargo, on_behalf_of, consent, suggest_to)
            proposal = await _following(instance, proposal, follow_up_of)
            leaves = reach != "local" or widen == "agreed"
            questions = await checks.look(instance, author, proposal, spoken, leaves=leaves, one_time=one_time)
            link, anyway = _asked(questions, spoken, link=link_identities, anyway=publish_anyway)
            window = delay_of(instance, delay, urgency) if delay or one_time else None
            speaker = await identities.make(instance, author) if one_time else author
            span = None if window is None else (window.low_ms // 1000, window.high_ms // 1000)
            made = await publish.listing(
                instance,
                speaker,
                proposal,
                spoken,
                audience=reach,
                named=named,
                terms=wishes,
                delay=span,
                one_time=one_time,
                by=operator,
                widen=widen,
                anyway=anyway,
                link=link,
            )
        except Invalid as error:
            raise click.UsageError(str(error)) from None
        except (publish.CannotPublish, identities.CannotHide) as error:
            fail(str(error))
        hint(window.warning if window is not None else None)
        hint(await instance.database.read(_kept_from, wishes, reach))
        hint(STAYS.format(id=made.id) if widen == "ask" else border.notice(instance) if reach == "public" else None)
        if language is None:
            hint(f"language: {spoken}, {'as far as the words tell' if seems else 'as nothing says another'}; --language says another")
        hint(await _leaves(instance, made))
        say(made.json(), made.url or f"{made.state}: {made.id}")

    within(work, opened=True)


async def _leaves(instance: "Instance", made: "Listing") -> str | None:
    """A word on when a listing leaves that waits for its hour, and how to take it back; None of any other."""
    if made.state != "scheduled":
        return None
    when = dict(await _waits(instance, made)).get("leaves", "later")
    return f"It leaves {when}; until then `fedmatch listing withdraw {made.id}` takes it back, and nothing leaves."


async def _waits(instance: "Instance", one: "Listing") -> list[tuple[str, str]]:
    """What is to say of one that is not published yet: when it leaves, and what a reviewer said."""
    from fedmatch import times
    from fedmatch.board import drafts

    kept = await instance.database.read(drafts.by_id, instance, one.id)
    if kept is None:
        return []
    leaves = [("leaves", times.rfc3339(kept.publish_at))] if kept.state == "scheduled" and kept.publish_at is not None else []
    return [*leaves, *([("reason", kept.draft.reason)] if kept.draft.reason else [])]


def _seems(title: str, text: str) -> str | None:
    """The language the words of a listing seem to be in; None where that is not clear."""
    from fedmatch.matching import language  # half a second that only who does not say it waits for

    return language.detected(f"{title}\n{text}")


def _chosen(title: str, text: str) -> tuple[str, ...]:
    """What somebody at a terminal picks of five skills that the words of a listing seem to be about; none of them by itself."""
    from fedmatch.matching import skills
    from schemas import vocabulary

    chips = skills.suggested(f"{title}\n{text}")
    if not chips:
        return ()
    hint("It may be about: " + ", ".join(f"{slug} ({vocabulary.label(slug, 'en')})" for slug in chips))
    return (click.prompt("Skills to name, with commas between (none without a word)", default="", show_default=False, err=True),)


async def _kept_from(tx: "Transaction", wishes: "Terms", reach: str) -> str | None:
    """A word on trusted peers that get nothing because they state no country; None where there are none."""
    from actors import peers

    if reach not in ("network", "peers") or not wishes.excluded:
        return None
    silent = [partner.host for partner in await peers.trusted(tx) if not partner.terms.countries]
    if not silent:
        return None
    return f"{', '.join(silent)}: as long as they do not state which countries they answer to, nothing goes there of what excludes any"


async def _operator(instance: "Instance", group: "Actor", by: str | None) -> "Actor | None":
    """Who acts for a group; ends the command if that is nobody who may."""
    from actors import local

    if by is None:
        return None
    operator = await person(instance, by)
    if operator.id not in {one.id for one in await instance.database.read(local.operators, group.id)}:
        fail(f"{by} is no operator of {group.username}; `fedmatch user create GROUP --kind group --operator NAME` names them")
    return operator


def _need(text: str, *, equipment: bool = False) -> "Need":
    from schemas.objects import Need

    name, _, number = text.rpartition("=") if "=" in text else (text, "", "1")
    if not number.strip().isascii() or not number.strip().isdigit():
        raise click.UsageError(f"needs holds {text!r}; write for example editors=3")
    return Need(name.strip(), int(number), equipment)


def _wishes(
    instance: "Instance",
    floor: str | None,
    answer_floor: str | None,
    exclude: tuple[str, ...],
    embargo: str | None,
    on_behalf_of: str | None,
    consent: str | None,
    suggest_to: str | None,
) -> "Terms":
    from fedmatch.board import terms
    from schemas.listings import moment, regions

    whom, why = terms.stated(on_behalf_of, consent)
    return terms.Terms(
        readers=terms.DEFAULT.readers if floor is None else terms.floor("floor", floor),
        answers=terms.DEFAULT.answers if answer_floor is None else terms.floor("answer_floor", answer_floor),
        excluded=regions("exclude", _several(exclude)),
        embargo=moment("embargo", embargo, instance.clock.now()),
        on_behalf_of=whom,
        consent=why,
        suggest=terms.DEFAULT.suggest if suggest_to is None else terms.suggested_to(suggest_to),
    )


def _widening(agreed: bool, reach: str, *, asked: bool) -> "Widening":
    """What the author says of all trusted peers: yes by the option, or when asked; where nobody can be asked now, they are asked when it is published."""
    if agreed and reach != "local":
        raise click.UsageError("--then-network goes with what is for this instance alone; --audience says already who gets it.")
    if agreed:
        return "agreed"
    if reach != "local" or not asked:
        return "no"
    return "agreed" if interactive() and click.confirm(WIDEN, default=False, err=True) else "ask"


async def _following(instance: "Instance", proposal: "Proposal", which: str | None) -> "Proposal":
    """The proposal as a follow-up of another listing."""
    if which is None:
        return proposal
    found = await _find(instance, which)
    if not found.url:
        fail(f"{which} is not published yet, so nothing can follow up on it")
    return replace(proposal, follow_up_of=found.url)


def _asked(questions: "Questions", language: str, *, link: bool, anyway: bool) -> tuple[bool, bool]:
    """Explains what there is to ask and gives both answers, by option or when asked; ends the command without a yes."""
    linking = "Both are yours under different names: everybody will see that they belong together. Link them?"
    if questions.links and not link:
        if not (interactive() and click.confirm(linking, default=False, err=True)):
            fail("both are yours under different names, and this would show that they belong together; `--link-identities` does it all the same")
        link = True
    return link, anyway_of(questions, language, anyway=anyway, verb="Publish", refused="it was not published", option="--publish-anyway")


@listing.command("list")
@click.option("--network", is_flag=True, help="Also what arrived from elsewhere.")
@click.option("--kind", type=KIND)
@click.option("--as", "name", metavar="NAME", help="As NAME may see them (default: as whoever runs this instance does).")
@click.option("--mine", is_flag=True, help="Only those of NAME, drafts too, also under one-time identities.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True)
def list_(network: bool, kind: str | None, name: str | None, mine: bool, limit: int) -> None:
    """List requests and offers, newest first; those that are not public as far as one may see them."""
    if mine and name is None:
        raise click.UsageError("--mine needs --as NAME.")

    async def work(instance: "Instance") -> None:
        from fedmatch.board import drafts, identities, listings, readers

        reader = None if name is None else await person(instance, name)
        private = not instance.vault.locked
        hint(None if private else "The vault is locked: only public ones are shown.")

        async def look(tx: "Transaction") -> "list[Listing]":
            if mine and reader is not None:
                names = await identities.mine(tx, instance, reader)
                own = [one for each in names for one in await listings.of_author(tx, instance, each, limit, private=True)]
                waiting = [one for each in names for one in await drafts.newest(tx, instance, actor_id=each) if one.state != "published"]
                ordered = (*sorted(waiting, key=lambda one: -one.id), *sorted(own, key=lambda one: -one.id))
                return [one for one in ordered if kind is None or one.kind == kind][:limit]
            found = await listings.newest(tx, instance, network=network, kind=kind, limit=limit, private=private)
            if reader is None:
                return found
            return [one for one in [await readers.shown(tx, instance, reader, one) for one in found] if one is not None]

        _print(await instance.database.read(look))

    within(work)


NO_HIT = "Nothing that is open fits; fewer words or options find more, and `fedmatch listing list --network` shows everything."
TAKES = {
    "speaks": "codes with commas between, as in ar,en",
    "language": "a code, as in ar or en",
    "region": "the two letters of a country, as in SY",
    "helper_region": "the two letters of a country, as in DE",
    "until": "a day, as in 2026-12-31",
    "origin": "a server, as in ngo.example",
    "author": "NAME or NAME@HOST",
}
NOTHING = "Nothing is asked or offered here yet; `fedmatch listing post` begins."


def _print(found: "list[Listing]", empty: str = NOTHING) -> None:
    say(
        [one.json() for one in found],
        table(
            ("id", "kind", "state", "audience", "author", "title"),
            [(str(one.id), one.kind, one.state, one.audience, one.author, one.title or "(open it to read it)") for one in found],
            empty=empty,
        ),
    )


@listing.command()
@click.argument("words", nargs=-1)
@click.option("--as", "name", metavar="NAME", help="As NAME may see them (default: as whoever runs this instance does).")
@click.option("--local", "here", is_flag=True, help="Only what was posted here.")
@click.option("--kind", type=KIND)
@click.option("--category", multiple=True, metavar="SLUG", help="A field of help; may be given more than once.")
@click.option("--skill", multiple=True, metavar="SLUG", help="A skill; may be given more than once.")
@click.option("--speaks", multiple=True, metavar="CODES", help="Languages to talk in, as in ar,en.")
@click.option("--language", metavar="CODE", help="The language of the text.")
@click.option("--region", metavar="CODE", help="The country it is about.")
@click.option("--helper-region", metavar="CODE", help="Where the helper should be.")
@click.option("--urgency", type=URGENCY)
@click.option("--until", metavar="DAY", help="Only what closes on that day or before, as in 2026-12-31.")
@click.option("--room", type=click.IntRange(1, 1000), metavar="N", help="Only what has room for so many people.")
@click.option("--checked", is_flag=True, help="Only what comes from people who were checked.")
@click.option("--anywhere", is_flag=True, help="Only what is open to helpers anywhere, whatever they speak.")
@click.option("--origin", metavar="HOST", help="Only what was posted on that server.")
@click.option("--author", metavar="HANDLE", help="Only what NAME or NAME@HOST wrote.")
@click.option("--state", type=click.Choice(["open", "closed", "any"]), default="open", show_default=True)
@click.option("--sort", type=click.Choice(["newest", "best"]), default="newest", show_default=True, help="What comes first.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
def search(
    words: tuple[str, ...],
    name: str | None,
    here: bool,
    category: tuple[str, ...],
    skill: tuple[str, ...],
    speaks: tuple[str, ...],
    limit: int,
    **given: "Given",
) -> None:
    """Search for all of the WORDS, of which "several in quotes" are a phrase; what is not public is searched in memory, as far as one may see it."""

    async def work(instance: "Instance") -> None:
        from dataclasses import replace

        from fedmatch.board import search as looking
        from fedmatch.web import filters
        from schemas import vocabulary

        reader = None if name is None else await person(instance, name)
        try:
            slugs = tuple(vocabulary.canonical(slug) for slug in (*_several(category), *_several(skill)))
        except vocabulary.UnknownSlug as error:
            raise click.UsageError(str(error)) from None
        spoken = {tag: vocabulary.canonical_language(tag) for tag in _several(speaks)}
        # As an address says it, so that the command line and the pages understand the same.
        asked = filters.read({option: "1" if value is True else str(value) for option, value in given.items() if value not in (None, False)})
        wrong = [*asked.wrong, *(("speaks", tag) for tag, known in spoken.items() if known is None)]
        if wrong:
            option, value = wrong[0]
            raise click.UsageError(f"--{option.replace('_', '-')} {value}: not understood; write {TAKES.get(option, 'what --help shows')}")
        wanted = replace(asked.wanted, words=looking.typed(" ".join(words)), slugs=slugs, speaks=tuple(tag for tag in spoken.values() if tag))
        if "author" in asked.kept:
            wanted = replace(wanted, actor_id=await instance.database.read(filters.author, instance, asked.kept["author"]) or 0)

        async def look(tx: "Transaction") -> "list[Listing]":
            if instance.vault.locked:
                return await looking.public(tx, instance, wanted, network=not here, limit=limit, sort=asked.sort)
            return await looking.search(tx, instance, wanted, network=not here, reader=reader, limit=limit, sort=asked.sort)

        hint("The vault is locked: only public ones are searched." if instance.vault.locked else None)
        _print(await instance.database.read(look), NO_HIT if asked.wanted.state == "open" else NO_HIT.replace(" that is open", ""))

    within(work)


async def _find(instance: "Instance", which: str) -> "Listing":
    from fedmatch.board import listings

    found = await instance.database.read(listings.find, instance, which)
    if found is None:
        fail(f"there is no request or offer {which} here; `fedmatch listing list --network` shows what is known")
    return found


@listing.command()
@click.argument("which", metavar="ID_OR_URL")
@click.option("--as", "name", metavar="NAME", help="As NAME sees it; what is not public counts toward their 20 a day.")
def show(which: str, name: str | None) -> None:
    """Show one request or offer."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import readers, stories

        one = await _find(instance, which)
        if name is None:
            _show(one, await _home(instance, one), await instance.database.read(stories.told, instance, one.url))
            return
        reader = await person(instance, name)
        seen = await instance.database.write(readers.open_for, instance, reader, one)
        if seen is None:
            fail(f"there is no request or offer {which} here; `fedmatch listing list --network` shows what is known")
        hint(None if seen == one else "You opened 20 today; of this one the coarse fields are shown. Tomorrow it can be read.")
        _show(seen, [], await instance.database.read(stories.told, instance, one.url) if seen == one else ())

    within(work)


async def _home(instance: "Instance", one: "Listing") -> list[tuple[str, str]]:
    """What only its home knows of a listing: how much of it is taken, and which peers could read it until when."""
    from fedmatch import times
    from fedmatch.board import copies, life

    if not one.local:
        return []
    if not one.url:
        return await _waits(instance, one)

    async def look(tx: "Transaction") -> list[tuple[str, str]]:
        lines = []
        for part in await life.parts(tx, one):
            whole = "as many as come" if part.quantity is None else str(part.quantity)
            lines.append((part.name or "taken", f"{part.taken} of {whole}, {part.done} done"))
        for host, since, until in await copies.ever(tx, one.id):
            lines.append((f"at {host}", f"readable since {times.rfc3339(since)}" + (f" until {times.rfc3339(until)}" if until else "")))
        return lines

    return await instance.database.read(look)


def _show(one: "Listing", more: list[tuple[str, str]], told: "Sequence[Story]" = ()) -> None:
    form: dict[str, Json] = {**one.json(), "outcome": [dict(story.json()) for story in told]} | ({} if one.url else dict(more))  # of a draft `more` is in it
    lines = [(name, _line(value)) for name, value in form.items() if name != "outcome" and value not in (None, [], "")]
    came = [("outcome", " - ".join((story.text, *story.credits))) for story in told]
    whole = [*lines, *(more if one.url else ()), *came]
    width = max(len(name) for name, _ in whole) + 2
    further = "\n" + " " * width  # so that no line of a text passes for a field
    say(form, "\n".join(f"{name + ':':<{width}}{value.replace(chr(10), further)}" for name, value in whole))


def _line(value: "Json") -> str:
    if isinstance(value, list):
        return ", ".join(_line(one) for one in value)
    if isinstance(value, dict):
        return " ".join(str(one) for one in value.values())
    return str(value)


@listing.command()
@click.argument("which", metavar="ID_OR_URL")
@click.option("--title")
@click.option("--text", help="`-` reads standard input.")
@click.option("--language", metavar="CODE", help="What title and text are in.")
@click.option("--category", multiple=True, metavar="SLUG", help="In place of all that it had, as the two that follow; may be given more than once.")
@click.option("--skill", multiple=True, metavar="SLUG")
@click.option("--speaks", multiple=True, metavar="CODES")
@click.option("--only-speaks/--not-only-speaks", default=None, help="Whether only people who speak one of these languages are asked.")
@click.option("--region", metavar="CODE")
@click.option("--helper-region", metavar="CODE")
@click.option("--only-region/--not-only-region", default=None, help="Whether only people in the helper's region are asked.")
@click.option("--urgency", type=URGENCY)
@click.option("--until", metavar="DATE")
@click.option("--capacity", type=int, metavar="N")
@click.option("--audience", metavar="WHO", help="public, network, peers:HOST,... or local: who may read it from now on. Alone, without other changes.")
@click.option("--suggest-to", type=SUGGEST, help="Whom to tell what fits it: me, helpers too, or matchmakers alone. Goes alone.")
@click.option("--publish-anyway", is_flag=True, help="Change it although the safety linter found something.")
def edit(
    which: str,
    title: str | None,
    text: str | None,
    language: str | None,
    category: tuple[str, ...],
    skill: tuple[str, ...],
    speaks: tuple[str, ...],
    only_speaks: bool | None,
    region: str | None,
    helper_region: str | None,
    only_region: bool | None,
    urgency: str | None,
    until: str | None,
    capacity: int | None,
    audience: str | None,
    suggest_to: str | None,
    publish_anyway: bool,
) -> None:
    """Change a request or offer of this instance; what is not named stays, and --skill, --speaks or a region of "" takes away. Everybody who has it is told.
    A refused draft is submitted again."""
    changes: dict[str, object] = {"title": title, "text": text_of(text) if text is not None else None, "language": language}
    changes |= {"categories": _several(category) or None, "skills": _replaced(skill), "speaks": _replaced(speaks), "only_speaks": only_speaks}
    changes |= {"region": region, "helper_region": helper_region, "only_region": only_region, "urgency": urgency, "until": until, "capacity": capacity}
    changes = {name: value for name, value in changes.items() if value is not None}

    if suggest_to is not None and (audience is not None or changes):
        raise click.UsageError("--suggest-to goes alone.")
    if audience is not None and changes:
        raise click.UsageError("--audience goes alone: change the words first, then who may read them (the other way round, if fewer shall).")

    async def work(instance: "Instance") -> None:
        from fedmatch.board import checks, publish
        from schemas import vocabulary
        from schemas.listings import Invalid, revised

        old = await _find(instance, which)
        spoken = vocabulary.canonical_language(language) if language else None
        try:
            if suggest_to is not None:
                await _suggest(instance, old, suggest_to)
                return
            if audience is not None:
                await _reach(instance, old, audience, publish_anyway)
                return
            proposal = revised(old.proposal, old.language or "en", changes, instance.clock.now())
            anyway = publish_anyway
            try:
                changed = await publish.edit(instance, old, proposal, language=spoken, anyway=anyway)
            except checks.Asks as error:
                _, anyway = _asked(error.questions, spoken or old.language or "en", link=True, anyway=anyway)
                changed = await publish.edit(instance, old, proposal, language=spoken, anyway=anyway)
        except Invalid as error:
            raise click.UsageError(str(error)) from None
        except publish.CannotPublish as error:
            fail(str(error))
        say(changed.json(), f"Changed: {changed.url or f'{changed.id}, {changed.state}'}")

    within(work, opened=True)


def _replaced(values: tuple[str, ...]) -> tuple[str, ...] | None:
    """What is to stand in place of what stood there; None where nothing was named."""
    return _several(values) if values else None


async def _reach(instance: "Instance", old: "Listing", audience: str, anyway: bool) -> None:
    """Changes who may read a listing, and says what that means."""
    from fedmatch.board import checks, reach, terms
    from fedmatch.safety import border

    wanted, named = terms.audience(audience)
    try:
        changed = await reach.change(instance, old, wanted, named, anyway=anyway)
    except checks.Asks as error:
        _, anyway = _asked(error.questions, old.language or "en", link=True, anyway=anyway)
        changed = await reach.change(instance, old, wanted, named, anyway=anyway)
    hint(UNSEEN.format(id=changed.id) if old.url and reach.leaves_somebody(old, wanted, named) else None)
    hint(ANEW if old.url and changed.id != old.id else None)
    hint(border.notice(instance) if wanted == "public" else None)
    say(changed.json(), f"Changed: {changed.url or changed.id}")


async def _suggest(instance: "Instance", old: "Listing", whom: str) -> None:
    """Says whom the instance tells of what fits one of ours."""
    from fedmatch.board import suggestions, terms

    if not old.local or not old.url:
        fail("only for what is published on this instance; of a draft say it when you post it")
    await instance.database.write(suggestions.allow, instance, old, terms.suggested_to(whom))
    instance.wake("job")
    say({"id": str(old.id), "suggest_to": whom}, f"What fits it is shown to {whom}.")


@listing.command()
@click.argument("which", metavar="ID_OR_URL")
def withdraw(which: str) -> None:
    """Withdraw a request or offer of this instance: it is deleted here, and everybody who may hold it is told."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import publish

        one = await _find(instance, which)
        if one.local and one.state == "fulfilled":
            fail(f"it is fulfilled and cannot be withdrawn; `fedmatch delete {one.url} --as {one.author.partition('@')[0]}` deletes it everywhere")
        try:
            gone = await publish.withdraw(instance, one)
        except publish.CannotPublish as error:
            fail(str(error))
        say(gone.json(), f"Withdrawn: {gone.url or gone.id}")

    within(work)


@listing.command()
@click.argument("which", metavar="ID_OR_URL")
@click.option("--until", metavar="DATE", help="Until when (default: 30 days from now).")
def renew(which: str, until: str | None) -> None:
    """Prolong a request or offer of this instance; what expired opens again, and an offer has room again for those it helped."""

    async def body(tx: "Transaction", instance: "Instance", one: "Listing") -> None:
        from fedmatch.board import life
        from schemas.listings import moment

        await life.renew(tx, instance, one.id, moment("until", until, instance.clock.now()))

    _move(which, body, "Renewed")


@listing.command()
@click.argument("which", metavar="ID_OR_URL")
def fulfil(which: str) -> None:
    """Close a request or offer of this instance, because its author has what was wanted."""

    async def body(tx: "Transaction", instance: "Instance", one: "Listing") -> None:
        from fedmatch.board import life

        await life.fulfil(tx, instance, one.id)

    _move(which, body, "Fulfilled")


@listing.command()
@click.argument("which", metavar="ID_OR_URL")
def pause(which: str) -> None:
    """Let a request or offer of this instance rest: it stays, and takes no answers."""

    async def body(tx: "Transaction", instance: "Instance", one: "Listing") -> None:
        from fedmatch.board import life

        await life.pause(tx, instance, one.id)

    _move(which, body, "Paused")


@listing.command()
@click.argument("which", metavar="ID_OR_URL")
def reopen(which: str) -> None:
    """Open a request or offer of this instance that is paused, matched or expired."""

    async def body(tx: "Transaction", instance: "Instance", one: "Listing") -> None:
        from fedmatch.board import life

        await life.reopen(tx, instance, one.id)

    _move(which, body, "Open")


WAYS = {"open": "reopen", "paused": "pause", "fulfilled": "fulfil", "withdrawn": "withdraw"}


def _cannot(error: "IllegalMove") -> str:
    """Why a listing does not go where somebody wants it, and where it can go."""
    if error.state == error.to:
        return f"it is {error.state} already; nothing was done"
    ways = " or ".join(f"`fedmatch listing {verb}`" for state, verb in WAYS.items() if state in error.allowed)
    return f"it is {error.state} and cannot become {error.to}; {f'what it can is {ways}' if ways else 'that is its end: `fedmatch listing post` asks anew'}"


def _move(which: str, body: "Callable[[Transaction, Instance, Listing], Awaitable[None]]", done: str) -> None:
    """Leads a listing of this instance along its life, and prints what became of it."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import life, publish
        from schemas.listings import Invalid
        from schemas.states import IllegalMove

        one = await _find(instance, which)
        if not one.url:
            fail(f"{which} is not published yet, it is {one.state}; `fedmatch listing withdraw {which}` takes it back, `fedmatch listing edit` changes it")
        try:
            await instance.database.write(body, instance, one)
        except Invalid as error:
            raise click.UsageError(str(error)) from None
        except IllegalMove as error:
            fail(_cannot(error))
        except (life.NotOurs, publish.CannotPublish) as error:
            fail(str(error))
        instance.wake("delivery")
        now = await _find(instance, which)
        say(now.json(), f"{done}: {now.url}")

    within(work)
