"""Do lists of other servers' admins come in and go out unchanged?"""

from pathlib import Path

import pytest

from actors import peers
from fedmatch.safety import border, peerlists
from fedmatch.safety.border import Host
from fedmatch.safety.peerlists import BadList
from schemas.storage import Database
from tests import house
from tests.house import House

MASTODON = '''#domain,#severity,#reject_media,#reject_reports,#public_comment,#obfuscate
zeta.example,suspend,false,false,"spam, and more",false
alpha.example,silence,false,false,,false
xn--mnchen-3ya.example,suspend,false,false,"says ""no""",false
'''
ALLOWED = "#domain\nzeta.example\nalpha.example\n"


@pytest.fixture
async def home(database: Database, tmp_path: Path) -> House:
    return await house.build(database, house.configure(tmp_path))


@pytest.mark.parametrize(("text", "allowed"), [(MASTODON, False), (ALLOWED, True)])
async def test_a_list_goes_out_byte_for_byte_as_it_came_in(home: House, text: str, allowed: bool) -> None:
    done = await peerlists.take(home.instance, peerlists.read(text))
    assert (done.skipped, done.unkept) == ((), ())
    assert peerlists.write(await home.read(peers.list_all), allowed=allowed) == text
    # Once more changes nothing
    assert (await peerlists.take(home.instance, peerlists.read(text))).made == 0


async def test_what_was_decided_here_stays(home: House) -> None:
    await border.decide(home.instance, Host("alpha.example"), "known", "ours")
    done = await peerlists.take(home.instance, peerlists.read(MASTODON))
    assert (done.made, done.skipped) == (2, ("alpha.example",))
    assert await home.read(peers.level, "alpha.example") == "known"


async def test_ourselves_and_what_means_nothing_is_left_out(home: House) -> None:
    text = "#domain,#severity,#reject_media\nours.example,suspend,false\nnoop.example,noop,true\nmedia.example,silence,true\n"
    done = await peerlists.take(home.instance, peerlists.read(text))
    assert done.made == 1
    assert done.skipped == ("ours.example", "noop.example")
    assert done.unkept == ("noop.example: reject_media", "noop.example: severity noop", "media.example: reject_media")


def test_missing_columns_mean_what_they_mean_at_mastodon() -> None:
    rows = peerlists.read("#domain,#public_comment\nbad.example,spam\n")
    assert (rows[0].level, rows[0].reason) == ("blocked", "spam")
    assert peerlists.read("bad.example\nworse.example\n")[1].level == "blocked"
    assert peerlists.read("\ufeff#domain\r\nGood.Example.\r\n")[0] == peerlists.Row("good.example", "known", None)


@pytest.mark.parametrize("text", ["", "#domain\nnot a host\n", "#domain,#severity\na.example,banish\n"])
def test_rubbish_is_named_with_its_line(text: str) -> None:
    with pytest.raises(BadList, match=r"line 2|empty"):
        peerlists.read(text)
