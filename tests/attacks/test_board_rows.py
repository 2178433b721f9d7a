"""Which rows of the attack table are about the board, and what holds each? None passes quietly: it names its tests, or why nothing is to attack yet."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.wire import http
from tests.world import Site, open_world

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Later:
    """There is nothing to attack yet; `why` names what is missing."""

    why: str


STORY = "tests/federation/test_board_story.py"
NOTES = "tests/federation/test_note_answer_story.py"
TRUST = "tests/federation/test_trust_story.py"
LEAKS = "tests/attacks/test_leaks.py"
ORDERS = "tests/faults/test_board_orders.py"
ROWS = "tests/attacks/test_rows.py::test_attack"
ITEMS = "tests/attacks/test_private_rows.py"
BORDER = "tests/federation/test_border.py"
CELLS = "tests/federation/test_border_cells.py"

ANSWERS: dict[str, tuple[str, ...] | Later] = {
    "A023 another's answer": ("tests/unit/test_responses.py::test_only_the_helper_takes_back_and_only_the_two_end_it",),
    "A025 another takes an offer back": (f"{ORDERS}::test_f19_offers_and_what_takes_them_back",),
    "A027 A028 out of order": (f"{ORDERS}::test_f19_a_yes_and_how_it_ended", "tests/federation/test_order_story.py::test_a_delete_wins_whatever_comes_first"),
    "A029 boosts of a listing": (f"{NOTES}::test_likes_and_boosts_have_no_side_effects",),
    "A030 a yes to what nobody offered, and ten times": (f"{ORDERS}::test_f18_a_decision_ten_times_is_one",),
    "A035 accepted twice, by another, after its end": (
        f"{ORDERS}::test_f19_a_yes_and_how_it_ended",
        f"{ORDERS}::test_f18_an_answer_and_its_end_ten_times_are_one",
        "tests/unit/test_responses.py::test_only_the_author_accepts_what_one_of_ours_offered",
        "tests/unit/test_responses.py::test_never_more_are_accepted_than_are_wanted",
        "tests/unit/test_responses.py::test_after_the_end_an_offer_is_rejected",
    ),
    "A041 a public reply to what is between two": (f"{NOTES}::test_a_public_reply_is_kept_from_everybody_and_its_author_told_once",),
    "A024 A026 A032-A034 A036-A040 A042 A043 every document": (ROWS,),
    "A063 streams": Later("the client interface, and with it streams, does not exist"),
    "A105 mass assignment": (
        "tests/attacks/test_board_rows.py::test_no_form_writes_anything",
        f"{ITEMS}::test_a105_what_a_document_says_beside_its_nouns_is_not_heard",
    ),
    "A106 A107 A108 searching": (
        "tests/attacks/test_search.py::test_a_parameter_is_a_value_or_said_back",
        "tests/attacks/test_search.py::test_a_cursor_holds_for_its_own_search_alone",
        "tests/attacks/test_search.py::test_hostile_words_are_words",
        "tests/attacks/test_search.py::test_what_is_not_public_leaves_no_trace_in_anybodys_search",
    ),
}

PRIVACY: dict[str, tuple[str, ...] | Later] = {
    "A113 read through any place": (
        f"{LEAKS}::test_what_may_not_be_seen_is_missing",
        f"{LEAKS}::test_no_list_shows_more_than_what_is_public",
        f"{ITEMS}::test_a113_what_is_private_takes_as_long_to_refuse_as_what_is_not_there",
    ),
    "A114 a blocked server by any spelling, parent, key and person": (
        f"{BORDER}::test_a114_every_spelling_of_a_blocked_key_id_is_refused_without_a_fetch",
        f"{BORDER}::test_a_blocked_key_is_refused_under_every_name",
        f"{CELLS}::test_modes_and_sub_domains",
        f"{CELLS}::test_a114_however_an_admin_types_it_it_is_one_name",
        "tests/unit/test_hosts.py::test_every_spelling_of_a_host_is_one_host",
    ),
    "A115 an allow list": (
        f"{BORDER}::test_j1_with_an_allow_list_strangers_get_nothing_and_hear_nothing",
        f"{ITEMS}::test_a115_nobody_is_told_whom_we_speak_with",
    ),
    "A116 who exists": (
        "tests/attacks/test_signed_only.py::test_without_a_signature_everything_is_one_401",
        "tests/unit/test_actor_endpoints.py::test_suspended_is_missing_byte_for_byte",
        f"{ITEMS}::test_a116_who_may_not_be_seen_is_answered_as_nobody_is_and_takes_as_long",
        f"{ITEMS}::test_a116_no_page_names_who_said_nothing_in_public",
        "tests/unit/test_identities.py::test_an_id_tells_the_hour_and_nothing_finer",
    ),
    "A117 lists of people": (
        f"{ITEMS}::test_a117_no_collection_names_anybody",
        "tests/unit/test_actor_endpoints.py::test_collections_say_nothing_about_people",
    ),
    "A118 floods from one server, and from a thousand names of one domain": (
        "tests/unit/test_door.py::test_a_host_that_posts_too_often_is_told_when_to_come_again",
        "tests/unit/test_door.py::test_a118_all_names_of_one_domain_together_are_as_ten",
        f"{BORDER}::test_in_mode_approve_a_strangers_follows_and_messages_wait_for_an_admin",
    ),
    "A119 floods of reports, and back and forth": (
        "tests/unit/test_reports.py::test_a119_a_flood_of_reports_is_counted_and_slowed_down",
        f"{ITEMS}::test_a119_back_and_forth_leaves_what_was_there_before",
    ),
    "A120 sign-up": Later("nobody signs up: people are made at the command line"),
    "A121 an infiltrator reads a whole list": (
        f"{STORY}::test_a_helper_opens_twenty_a_day_then_staff_hears_of_it",
        f"{LEAKS}::test_who_finds_it_here",
        f"{ITEMS}::test_a121_nothing_is_given_away_before_both_said_yes",
    ),
    "A122 a peer that shows each another key": (
        f"{TRUST}::test_the_domain_is_seized",
        f"{TRUST}::test_keys_that_change_between_words_and_trust_are_not_pinned",
        "tests/federation/test_farewell_story.py::test_whoever_took_the_name_hears_no_name_of_ours",
        f"{ORDERS}::test_f19_a_yes_and_how_it_ended",
        f"{ORDERS}::test_f18_f19_a_vouch_its_end_and_a_forged_end_in_any_order_and_twice",
    ),
    "A123 somebody is forced to log in": Later("nobody logs in: there are no accounts on the web"),
    "A124 what is deleted": (
        "tests/faults/test_canary.py",
        "tests/unit/test_board.py::test_a_withdrawn_request_is_gone_and_everybody_who_may_hold_it_hears_so",
        "tests/unit/test_retention.py::test_it_comes_round_by_itself_and_leaves_no_byte",
        "tests/federation/test_restore_story.py::test_f29_what_ended_stays_ended_and_nobody_is_told_twice",
    ),
    "A125 what a notification says": ("tests/attacks/test_board_rows.py::test_a_notification_is_a_kind_and_a_number",),
    "A126 what a browser finds by guessing": ("tests/attacks/test_board_rows.py::test_nothing_of_the_house_is_served",),
    "A127 the log of staff is cut": (
        "tests/unit/test_vouches.py::test_whoever_changes_the_log_is_seen",
        f"{TRUST}::test_peers_keep_the_heads_of_a_log_they_saw",
    ),
    "A128 moments": (
        "tests/federation/test_delayed_answer_story.py::test_no_row_tells_when_a_request_was_written",
        "tests/attacks/test_two_worlds.py",
        f"{ITEMS}::test_a128_no_answer_names_a_version_or_a_program",
    ),
    "F01 F02 F03 killed while it answers, decides and vouches": ("tests/faults/test_board_kills.py",),
    "F18 F19 again and in any order": (ORDERS,),
    "F29 F30 restore": (
        "tests/federation/test_restore_story.py::test_f29_what_ended_stays_ended_and_nobody_is_told_twice",
        "tests/federation/test_restore_story.py::test_f29_trust_that_was_taken_away_stays_away",
        "tests/faults/test_backup.py::test_f30_without_the_key_or_with_a_wrong_one_it_says_what_to_do",
    ),
}

EVERY = ANSWERS | PRIVACY


@pytest.mark.parametrize("row", EVERY)
def test_a_row_names_what_holds_it(row: str) -> None:
    match EVERY[row]:
        case Later(why):
            assert len(why) > 20
        case tests:
            for name in tests:
                path, _, function = name.partition("::")
                text = (ROOT / path).read_text(encoding="utf-8")
                assert not function or f"def {function}(" in text, f"{name} is not there"


def test_a_notification_is_a_kind_and_a_number() -> None:
    from fedmatch.board.notifications import Notification

    assert set(Notification(1, "listing.held", "2", 3).json()) == {"id", "kind", "about", "at"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with open_world(tmp_path_factory.mktemp("guessing")) as world:
        yield await world.site("a")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "path",
    ["/.env", "/.git/config", "/instance.toml", "/data/fedmatch.db", "/fedmatch.db", "/data/vault.key", "/metrics", "/debug", "/openapi.json", "/admin",
     "/static/../instance.toml", "/static/..%2finstance.toml", "/static/%2e%2e/instance.toml", "/backup.zip", "/instance.toml~", "/server-status"],
)  # fmt: skip
async def test_nothing_of_the_house_is_served(house: Site, path: str) -> None:
    for accept in ("text/html", "application/activity+json"):
        answer = await house.get(path, accept)
        assert answer.status in {400, 404}, (path, answer.status)
        assert b"[federation]" not in answer.body


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/", "/board", "/topics/legalaid", "/@somebody", "/posts/1", "/api/v1/statuses", "/api/v1/accounts", "/oauth/token"])
async def test_no_form_writes_anything(house: Site, path: str) -> None:
    # The one door that takes what strangers write is the inbox; commands know their options.
    for kind, body in (
        ("application/x-www-form-urlencoded", b"role=admin&is_admin=1&verified=1&id=1"),
        ("application/json", b'{"role":"admin","created_at":"2020-01-01T00:00:00Z"}'),
    ):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = await http(method, f"{house.base}{path}", [("Content-Type", kind)], body)
            assert answer.status in {404, 405}, (method, path, answer.status)
    assert await house.count("actor") == 1
