"""What happens in the demonstration? A group that needs the press, two people at risk who find each other, and news for a country that is shut."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from fedmatch.demo.board import Board, Secret
from fedmatch.demo.house import House, Lost, befriend, until

Step = Callable[[str], None]

PRESS: Final = (
    "نحتاج إلى مساعدة إعلامية لمجموعة مدنية سورية",
    "نحن مجموعة علمانية في سوريا نعمل من أجل دولة مدنية. نبحث عن شخص ذي خبرة في العلاقات العامة يساعدنا على إيصال صوتنا إلى الصحافة.",
)
PRESS_ENGLISH: Final = ("A civil group in Syria needs help with the press", "We look for somebody in public relations who helps us to be heard.")
FOUNDER: Final = "Our firm placed eleven op-eds last year and would do it for you"
RADIO: Final = "Seven of us want to make a radio for the young, and none has built one"
ADVICE: Final = "I built one in a kitchen, and it was on the air for two years"
ANTENNA: Final = "Begin with the antenna, the rest can be borrowed"
NEWS_IN: Final = "Forty short films have to get in before the spring"
WITNESSES_OUT: Final = "Two who saw it can tell it, if somebody hears them"
SHORTWAVE: Final = "Airtime on shortwave, an hour a night, from outside"
SATELLITE: Final = "Satellite receivers that look like something else"
DAYS: Final = 3
HOURS_AHEAD: Final = 24 * DAYS + 3
"""72 hours are the longest it may take, and it leaves on the next full hour."""


async def play(board: Board, step: Step) -> None:
    """All of it; raises `Lost` if anything fails, or anybody knows more or less than they should."""
    ngo, partner, third = board.houses
    step("Three instances start. Their admins compare six words, two by two; the third's word for people counts for nothing.")
    await asyncio.gather(*(house.settle_in() for house in board.houses))
    await befriend(ngo, partner, 3)
    await befriend(ngo, third, 0)
    await befriend(partner, third, 0)
    await press(board, step)
    names = await radio(board, step)
    await news(board, step)
    await over(board, names, step)
    dead = [one for house in board.houses for one in await house.say("deliveries", "--state", "dead")]
    if dead:
        raise Lost(f"deliveries that were given up: {dead}")


async def press(board: Board, step: Step) -> None:
    """S2: a group asks in public; somebody on Mastodon answers in private."""
    ngo, *_ = board.houses
    step("S2  A group with three operators asks for help with the press. A founder on Mastodon follows @pressandmedia.")
    for name in ("amal", "basil", "carim"):
        await ngo.move_in(name)
    group = await ngo.move_in("syria_voices", "--kind", "group", "--operator", "amal", "--operator", "basil", "--operator", "carim")
    await ngo.say("vouch", "issue", group, "--level", "3", "--method", "known-organisation")
    await board.standin.follow(f"pressandmedia@{ngo.host}")
    words = ["--as", "syria_voices", "--by", "basil", "--kind", "request", "--audience", "public", "--category", "PressAndMedia", "--region", "SY"]
    words += ["--title", PRESS[0], "--text", PRESS[1], "--language", "ar", "--translation", "en", *PRESS_ENGLISH, "--speaks", "ar,en", "--urgency", "days"]
    made = await ngo.say("listing", "post", *words, "--publish-anyway")
    everywhere: dict[str, Any] = {one.label: "in the open" for one in board.houses} | {board.standin.label: "has it"}
    board.secrets += [
        Secret("S2", "the request, public", PRESS[1], everywhere),
        Secret("S2", "the account of who wrote it for the group", "basil", {ngo.label: "in the open"}),
        Secret("S2", "what the founder answers, privately", FOUNDER, {ngo.label: "sealed", board.standin.label: "has it"}),
    ]
    url = made["url"]

    async def boosted() -> bool:
        return await board.standin.sees(url)

    await until("the request never came to who follows the topic", boosted)

    step("S2  The founder sees it, boosted, and answers with a direct post; the instance says that it came, and the group accepts.")
    await board.standin.write(f"http://{ngo.host}/users/syria_voices", group, FOUNDER, url)
    answer = await arrives(ngo, "syria_voices", url)

    async def receipt() -> bool:
        return bool(board.standin.letters())

    await until("the founder never heard that the answer came", receipt)
    received = len(board.standin.letters())
    await ngo.say("response", "open", answer, "--as", "syria_voices")
    await ngo.say("response", "accept", answer, "--as", "syria_voices")

    async def decided() -> bool:
        return len(board.standin.letters()) > received and (await ngo.say("listing", "show", url))["state"] == "matched"

    await until("the founder never heard what was decided", decided)
    if any(FOUNDER in text for text in board.standin.letters()):
        raise Lost("the letters quote what was answered in private")
    await board.judge()


async def radio(board: Board, step: Step) -> tuple[str, str]:
    """S3: two people at risk, both under names made for this, on two instances that trust each other. The names of who asked and who answered."""
    ngo, partner, _ = board.houses
    step("S3  Somebody in Yemen asks their NGO's partners how to build a radio, under a name made for this one request.")
    await ngo.move_in("yemeni_at_home")
    await partner.move_in("syrian_abroad")
    await partner.say("vouch", "issue", f"syrian_abroad@{partner.host}", "--level", "2", "--method", "in-person")
    words = ["--kind", "request", "--audience", "network", "--category", "Connectivity", "--skill", "RadioBroadcast", "--speaks", "ar"]
    made = await ngo.say("listing", "post", "--as", "yemeni_at_home", *words, "--title", "A radio", "--text", RADIO, "--one-time", "--delay", "0")
    both: dict[str, Any] = {ngo.label: "sealed", partner.label: "sealed"}
    board.secrets += [
        Secret("S3", "the request, for trusted peers", RADIO, both),
        Secret("S3", "the answer", ADVICE, both),
        Secret("S3", "what they say to each other", ANTENNA, both),
        Secret("S3", "the account of who asked", "yemeni_at_home", {ngo.label: "in the open"}),
        Secret("S3", "the account of who answered", "syrian_abroad", {partner.label: "in the open"}),
    ]
    await knows(partner, made["url"], "the request never came to the partner")

    step("S3  Somebody from Syria, vouched for by the partner, answers under another such name. It crosses sealed; they talk.")
    sent = await partner.say("respond", made["url"], "--as", "syrian_abroad", "--text", ADVICE, "--one-time")
    answer = await arrives(ngo, "yemeni_at_home", made["url"])
    opened = await ngo.say("response", "open", answer, "--as", "yemeni_at_home")
    if opened["channel"] != "sealed" or "yemeni" in opened["to"] or "syrian" in opened["from"]:
        raise Lost(f"the answer came as {opened['channel']} from {opened['from']} to {opened['to']}")
    await ngo.say("response", "accept", answer, "--as", "yemeni_at_home")
    await comes_to(partner, "syrian_abroad", sent["id"], "accepted")
    await partner.say("message", sent["id"], "--as", "syrian_abroad", "--text", ANTENNA)

    async def said() -> bool:
        (one,) = [one for one in await ngo.say("response", "list", "--as", "yemeni_at_home") if one["id"] == answer]
        return any(message["text"] == ANTENNA for message in one["messages"])

    await until("the message never came", said)
    await board.judge()
    for secret in board.secrets:
        # What was public stays as it is; what these two said is over in a moment.
        secret.final = secret.story == "S3"

    step("S3  It is done, on both instances; neither name takes anything new from now on.")
    await ngo.say("response", "complete", answer, "--as", "yemeni_at_home")
    await comes_to(partner, "syrian_abroad", sent["id"], "completed")
    return opened["to"], opened["from"]


async def over(board: Board, names: tuple[str, str], step: Step) -> None:
    """What is left of S3 when an hour has gone by, which is how long others may still ask the two names for their keys: nothing."""
    ngo, partner, _ = board.houses
    step("S3  Both names made for the radio have ended by now, and the request is gone from both instances.")
    for house, name in zip((ngo, partner), names, strict=True):
        await ends(house, name)

    async def gone() -> bool:
        return RADIO not in await ngo.readable() and RADIO not in await partner.readable()

    await until("the request is still readable after it was done", gone)


async def ends(house: House, handle: str) -> None:
    """Waits until somebody of an instance is no more."""

    async def over() -> bool:
        return any(one["handle"] == handle and one["state"] == "gone" for one in await house.say("user", "list"))

    await until(f"{handle} never ended", over)


async def news(board: Board, step: Step) -> None:
    """S6: requests that leave late, to one peer alone; offers for everybody."""
    ngo, partner, third = board.houses
    step("S6  Defectors ask one partner alone, to leave at random within one to three days. Technologists there offer radio and satellite to everybody.")
    await ngo.move_in("defector")
    await partner.move_in("engineer")
    await third.move_in("watcher")
    await partner.say("vouch", "issue", f"engineer@{partner.host}", "--level", "2", "--method", "video-call")
    await third.say("follow", f"engineer@{partner.host}", "--as", "watcher")

    async def followed() -> bool:
        return bool((await third.say("follow", f"engineer@{partner.host}", "--as", "watcher"))["state"] == "accepted")

    await until("a follow was never accepted", followed)
    request = ["--as", "defector", "--kind", "request", "--category", "Connectivity", "--audience", f"peers:{partner.host}", "--delay", "24-72h"]
    for title, text in (("Get the news in", NEWS_IN), ("Get the witnesses out", WITNESSES_OUT)):
        waiting = await ngo.say("listing", "post", *request, "--title", title, "--text", text)
        if waiting["state"] != "scheduled":
            raise Lost(f"the request should leave later, and is {waiting['state']}")
    offer = ["--as", "engineer", "--kind", "offer", "--category", "Connectivity", "--audience", "public", "--capacity", "3"]
    offers = [
        await partner.say("listing", "post", *offer, "--title", title, "--text", text, "--skill", skill)
        for title, text, skill in (("Shortwave", SHORTWAVE, "RadioBroadcast"), ("Satellite", SATELLITE, "SatelliteInternet"))
    ]
    for made in offers:
        for house in (ngo, third):
            await knows(house, made["url"], f"an offer never came to {house.label}, which trusts the partner")
    public: dict[str, Any] = {house.label: "in the open" for house in board.houses}
    asked = (("news in", NEWS_IN), ("witnesses out", WITNESSES_OUT))
    early = [Secret("S6", f"{what}, at first", words, {ngo.label: "sealed"}) for what, words in asked]
    offered = (("shortwave", SHORTWAVE), ("satellite", SATELLITE))
    board.secrets += [*early, *(Secret("S6", f"the offer of {what}, public", words, public) for what, words in offered)]
    await board.judge()
    for secret in early:
        secret.final = True

    step(f"S6  {DAYS} days cannot be waited for: the servers stop, and start again with their clocks {HOURS_AHEAD} hours ahead.")
    await asyncio.gather(*(house.stop() for house in board.houses))
    await asyncio.gather(*(house.start(HOURS_AHEAD) for house in board.houses))
    later: dict[str, Any] = {ngo.label: "sealed", partner.label: "sealed"}
    board.secrets += [Secret("S6", f"{what}, after {DAYS} days", words, later) for what, words in asked]

    async def both_came() -> bool:
        texts = {one["text"] for one in await partner.say("listing", "list", "--network")}
        return {NEWS_IN, WITNESSES_OUT} <= texts

    await until("a delayed request never came to the partner", both_came)
    await board.judge()


async def arrives(house: House, name: str, listing: str) -> str:
    """The id of the one answer that `name` got to a listing, once it is there."""
    found: list[str] = []

    async def there() -> bool:
        found[:] = [str(one["id"]) for one in await house.say("response", "list", "--as", name, "--listing", listing)]
        return len(found) == 1

    await until(f"the answer never came to {name}", there)
    return found[0]


async def knows(house: House, url: str, otherwise: str) -> None:
    """Waits until an instance lists something."""

    async def there() -> bool:
        return any(one["url"] == url for one in await house.say("listing", "list", "--network"))

    await until(otherwise, there)


async def comes_to(house: House, name: str, answer: str, state: str) -> None:
    """Waits until an answer is, on its sender's side, in a state."""

    async def there() -> bool:
        return any(one["id"] == answer and one["state"] == state for one in await house.say("response", "list", "--as", name))

    await until(f"{name} never heard that the answer is {state}", there)
