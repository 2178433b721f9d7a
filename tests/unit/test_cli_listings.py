"""Do scripts get what the command line promises about requests and offers: every option, the whole life, review, search, groups, and what is told to whom?"""

import re
from pathlib import Path

import pytest

from tests.unit.test_cli_answers import house, logs_as_before, ok, run  # noqa: F401  # two of them are fixtures

POST = ("listing", "post", "--as", "alice", "--title", "A lawyer", "--text", "-", "--category", "LegalAid")
REQUEST = (*POST, "--kind", "request")
OFFER = (*POST, "--kind", "offer")
TEXT = "Who knows asylum law?"


def test_every_option_is_taken_and_shown(house: Path) -> None:  # noqa: F811  # the fixture
    first = ok(*REQUEST, "--audience", "public", stdin=TEXT)
    made = ok(
        *REQUEST,
        *("--skill", "AsylumLaw", "--speaks", "ar,en", "--only-speaks", "--region", "sy", "--helper-region", "de", "--only-region", "--urgency", "weeks"),
        *("--until", "2027-06-01", "--expires", "2027-05-01", "--need", "editors=2", "--equipment", "transmitter", "--audience", "network", "--floor", "0"),
        *("--answer-floor", "2:ngo.example", "--exclude", "ru,cn", "--follow-up-of", first["id"], "--on-behalf-of", "her uncle", "--consent", "family"),
        *("--translation", "ar", "محامٍ", "من يعرف قانون اللجوء؟", "--delay", "0"),
        stdin=TEXT,
    )
    assert set(made) >= {"id", "url", "kind", "state", "title", "text", "language", "categories", "skills", "speaks", "region", "helper_region", "urgency"}
    assert set(made) >= {"until", "capacity", "audience", "author", "origin", "vouches"}
    assert (made["state"], made["audience"], made["region"], made["helper_region"]) == ("open", "network", "SY", "DE")
    assert (made["until"], made["expires"]) == ("2027-06-01T23:59:59Z", "2027-05-01T23:59:59Z")
    assert made["needs"] == [{"name": "editors", "quantity": 2, "equipment": False}, {"name": "transmitter", "quantity": 1, "equipment": True}]
    assert made["translations"][0]["language"] == "ar"
    assert "uncle" not in str(made)
    scheme, _, rest = made["url"].partition("://")
    host, _, path = rest.partition("/")
    name, _, port = host.partition(":")
    for which in (made["id"], made["url"], f"{scheme.upper()}://{name.upper()}.{port and ':'}{port}/{path}", f"{made['url']}#primary"):
        assert ok("listing", "show", which) == made | {"outcome": []}
    shown = run("listing", "show", made["id"]).stdout
    assert re.search(r"editors: +0 of 2, 0 done", shown)
    assert made in ok("listing", "list")
    assert ok("listing", "search", "ASYLUM", "--skill", "asylumlaw") == [made]
    assert ok("listing", "search", "قانون") == [made]
    assert ok("listing", "search", "nothing") == []


def test_what_was_said_wrongly_of_it_is_said_anew(house: Path) -> None:  # noqa: F811  # the fixture
    made = ok(*REQUEST, "--language", "de", "--skill", "AsylumLaw", "--speaks", "de", "--region", "sy", "--audience", "public", stdin=TEXT)
    again = ("--language", "EN", "--skill", "CriminalDefense,asylumlaw", "--speaks", "ar,en", "--only-speaks", "--helper-region", "de", "--only-region")
    changed = ok("listing", "edit", made["id"], *again)
    assert (changed["language"], changed["skills"], changed["speaks"]) == ("en", ["CriminalDefense", "AsylumLaw"], ["ar", "en"])
    assert (changed["helper_region"], changed["region"]) == ("DE", "SY")
    assert ok("listing", "search", "--language", "en", "--skill", "CriminalDefense") == [changed]
    assert ok("listing", "search", "--language", "de") == []
    fewer = ok("listing", "edit", made["id"], "--skill", "", "--region", "", "--helper-region", "", "--not-only-region")
    assert (fewer["skills"], fewer["region"], fewer["helper_region"], fewer["speaks"]) == ([], None, None, ["ar", "en"])
    for wrong in (("--language", "Klingon"), ("--skill", "Sorcery"), ("--category", "Magic"), ("--speaks", "+"), ("--speaks", ""), ("--only-region",)):
        assert run("listing", "edit", made["id"], *wrong).exit_code == 2, wrong
    assert ok("listing", "show", made["id"]) == fewer | {"outcome": []}
    draft = ok(*REQUEST, "--audience", "public", "--language", "de", "--delay", "5h", stdin=TEXT)
    assert ok("listing", "edit", draft["id"], "--language", "en", "--category", "DigitalSafety")["language"] == "en"


def test_search_takes_every_field_as_a_filter(house: Path) -> None:  # noqa: F811  # the fixture
    first = ok(*REQUEST, "--audience", "public", stdin=TEXT)
    more = ("--helper-region", "de", "--only-region", "--capacity", "2", "--until", "2027-06-01", "--expires", "2027-05-01", "--audience", "network")
    made = ok(*REQUEST, *more, stdin=TEXT)
    filters = ("--language", "en", "--helper-region", "de", "--until", "2027-06-01", "--room", "2", "--author", "alice", "--state", "any", "--sort", "best")
    assert ok("listing", "search", '"asylum law"', *filters, "--as", "alice") == [made]
    assert ok("listing", "search", "--anywhere", "--local") == [first]
    assert (
        ok("listing", "search", "--checked") == ok("listing", "search", "--origin", "elsewhere.example") == ok("listing", "search", "--author", "nobody") == []
    )
    for wrong in (
        ("--region", "Atlantis"),
        ("--language", "+"),
        ("--until", "soon"),
        ("--room", "0"),
        ("--limit", "-1"),
        ("--sort", "sealed"),
        ("--author", "@"),
    ):
        assert run("listing", "search", *wrong).exit_code == 2, wrong


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--audience", "everybody"), "audience"),
        (("--audience", "peers"), "audience"),
        (("--floor", "9"), "floor"),
        (("--exclude", "Atlantis"), "exclude"),
        (("--embargo", "yesterday"), "embargo"),
        (("--need", "x=many"), "needs"),
        (("--capacity", "0"), "capacity"),
        (("--on-behalf-of", "x"), "consent"),
        (("--consent", "family"), "on_behalf_of"),
        (("--only-region",), "only_region"),
        (("--helper-region", "Atlantis"), "helper_region"),
    ],
)
def test_a_wrong_option_names_its_field(house: Path, words: tuple[str, ...], says: str) -> None:  # noqa: F811  # the fixture
    result = run(*REQUEST, *words, stdin=TEXT)
    assert result.exit_code == 2, result.stderr
    assert says in result.stderr
    assert ok("listing", "list") == []


def test_a_request_stays_here_unless_its_author_says_otherwise(house: Path) -> None:  # noqa: F811  # the fixture
    result = run(*REQUEST, stdin=TEXT)
    assert result.exit_code == 0
    assert "stays on this instance" in result.stderr
    assert [one["audience"] for one in ok("listing", "list")] == ["local"]
    assert ok("timeline", "public", "--as", "bob") == []
    assert ok(*OFFER, stdin="I know it.")["audience"] == "public"
    assert run(*REQUEST, "--audience", "peers:stranger.example", stdin=TEXT).exit_code == 1


def test_its_author_is_asked_whether_all_peers_may_have_it(house: Path) -> None:  # noqa: F811  # the fixture
    made = ok(*REQUEST, stdin=TEXT)
    assert ok("notification", "list", "--as", "alice")[0]["kind"] == "listing.widen"
    command = f"fedmatch listing edit {made['id']} --audience network"
    shown = run("notification", "list", "--as", "alice")
    assert command in shown.stderr
    assert "Your listing can be read on this server alone." in shown.stdout
    wider = run("listing", "edit", made["id"], "--audience", "network")
    assert (wider.exit_code, wider.stderr) == (0, "")
    assert ok("listing", "show", made["id"])["audience"] == "network"
    assert ok(*REQUEST, "--then-network", stdin="Something else.")["audience"] == "network"
    assert ok(*REQUEST, "--audience", "local", "--then-network", stdin="A third matter.")["audience"] == "network"
    assert ok(*REQUEST, "--audience", "local", stdin="A fourth one.")["audience"] == "local"
    assert len(ok("notification", "list", "--as", "alice")) == 1, "whoever chose an audience is not asked"
    assert run(*REQUEST, "--audience", "public", "--then-network", stdin=TEXT).exit_code == 2


def test_fewer_may_read_it_and_its_author_is_warned(house: Path) -> None:  # noqa: F811  # the fixture
    made = ok(*REQUEST, "--audience", "public", stdin=TEXT)
    fewer = run("listing", "edit", made["id"], "--audience", "local")
    assert fewer.exit_code == 0
    assert "cannot be unseen" in fewer.stderr
    assert "an id of its own" in fewer.stderr
    (closed,) = ok("listing", "list")
    assert (closed["audience"], closed["title"], closed["id"] == made["id"]) == ("local", made["title"], False)
    assert run("listing", "edit", closed["id"], "--audience", "local", "--title", "Both").exit_code == 2
    assert run("listing", "edit", closed["id"], "--audience", "everybody").exit_code == 2
    assert run("listing", "edit", closed["id"], "--audience", "peers:stranger.example").exit_code == 1
    ok("listing", "edit", closed["id"], "--text", "Call +49 30 901820")
    refused = run("listing", "edit", closed["id"], "--audience", "public")
    assert (refused.exit_code, "--publish-anyway" in refused.stderr) == (1, True)
    assert ok("listing", "edit", closed["id"], "--audience", "public", "--publish-anyway")["audience"] == "public"


def test_a_listing_is_led_through_its_life(house: Path) -> None:  # noqa: F811  # the fixture
    made = ok(*OFFER, "--capacity", "2", stdin="I know it.")
    assert ok("listing", "pause", made["id"])["state"] == "paused"
    refused = run("listing", "fulfil", made["id"])
    assert refused.exit_code == 1
    assert "paused" in refused.stderr
    assert ok("listing", "reopen", made["url"])["state"] == "open"
    assert ok("listing", "renew", made["id"], "--until", "2027-07-01")["expires"] == "2027-07-01T23:59:59Z"
    assert run("listing", "renew", made["id"], "--until", "1999-01-01").exit_code == 2
    assert ok("listing", "edit", made["id"], "--capacity", "3")["capacity"] == 3
    assert ok("listing", "fulfil", made["id"])["state"] == "fulfilled"
    for move in ("pause", "reopen", "renew", "fulfil"):
        assert run("listing", move, made["id"]).exit_code == 1
    assert run("listing", "renew", "123").exit_code == 1


def test_the_linter_asks_before_anything_leaves(house: Path) -> None:  # noqa: F811  # the fixture
    words = "Call me: +49 30 901820 or write to me@example.org"
    refused = run(*REQUEST, "--audience", "public", stdin=words)
    assert refused.exit_code == 1
    assert "--publish-anyway" in refused.stderr
    assert ok("listing", "list") == []
    assert ok(*REQUEST, "--audience", "public", "--publish-anyway", stdin=words)["state"] == "open"


def test_what_is_held_is_approved_or_rejected(house: Path) -> None:  # noqa: F811  # the fixture
    config = house / "instance.toml"
    config.write_text(re.sub(r'^review = "nothing"', 'review = "everything"', config.read_text(), count=1, flags=re.MULTILINE))
    ok("user", "role", "bob", "moderator")
    made = ok(*REQUEST, "--audience", "public", stdin=TEXT)
    assert (made["state"], made["url"]) == ("held", None)
    assert ok("review", "list") == [made]
    assert ok("listing", "show", made["id"]) == made | {"outcome": []}
    assert ok("listing", "list") == []
    assert ok("listing", "list", "--as", "alice", "--mine") == [made]
    assert [one["kind"] for one in ok("notification", "list", "--as", "bob")] == ["listing.held"]
    assert run("review", "approve", made["id"], "--as", "carol").exit_code == 1
    assert ok("review", "reject", made["id"], "--reason", "leave the name out", "--as", "bob")["state"] == "refused"
    # Its author reads why
    assert ok("listing", "show", made["id"])["reason"] == "leave the name out"
    assert run("listing", "show", made["id"]).stdout.count("reason:     leave the name out") == 1
    assert ok("listing", "edit", made["id"], "--title", "Somebody")["state"] == "held"
    passed = ok("review", "approve", made["id"], "--as", "bob")
    assert (passed["state"], passed["title"], passed["url"] is not None) == ("open", "Somebody", True)
    assert ok("listing", "show", made["id"]) == passed | {"outcome": []}
    assert [one["kind"] for one in ok("notification", "list", "--as", "alice")] == ["listing.approved", "listing.refused"]
    assert ok("notification", "clear", "--as", "alice") == {"cleared": 2}
    assert run("review", "approve", made["id"]).exit_code == 1
    again = ok(*REQUEST, stdin=TEXT)
    assert ok("listing", "withdraw", again["id"])["state"] == "withdrawn"
    assert ok("review", "list") == []


def test_a_group_and_its_operators(house: Path) -> None:  # noqa: F811  # the fixture
    assert run("user", "create", "syrians", "--kind", "group").exit_code == 2
    ok("user", "create", "syrians", "--kind", "group", "--operator", "alice")
    words = ("listing", "post", "--as", "syrians", "--kind", "request", "--title", "The press", "--text", "-", "--category", "PressAndMedia")
    made = ok(*words, "--by", "alice", stdin=TEXT)
    assert made["author"] == "syrians@localhost:18000"
    assert run(*words, "--by", "bob", stdin=TEXT).exit_code == 1
    shown = ok("user", "operators", "syrians", "--add", "bob", "--remove", "alice")
    assert (shown["operators"], [one["by"] for one in shown["acts"]]) == (["bob"], ["alice"])
    assert ok(*words, "--by", "bob", stdin=TEXT)["state"] == "open"


def test_one_reads_as_one_may(house: Path) -> None:  # noqa: F811  # the fixture
    made = ok(*REQUEST, "--floor", "0", stdin=TEXT)
    closed = ok(*REQUEST, stdin="Another matter.")
    seen = ok("listing", "list", "--as", "bob")
    assert [(one["id"], one["title"], one["categories"]) for one in seen] == [(made["id"], "", ["LegalAid"])]
    assert ok("listing", "show", made["id"], "--as", "bob") == made | {"outcome": []}
    assert ok("listing", "list", "--as", "bob") == [made]
    assert run("listing", "show", closed["id"], "--as", "bob").exit_code == 1
    assert {one["id"] for one in ok("listing", "list", "--as", "alice")} == {made["id"], closed["id"]}


def test_an_identity_for_one_listing(house: Path) -> None:  # noqa: F811  # the fixture
    made = ok(*REQUEST, "--audience", "public", "--one-time", stdin=TEXT)
    assert made["state"] == "open"
    assert "alice" not in str(made)
    linked = run(*REQUEST, "--follow-up-of", made["id"], "--audience", "public", stdin=TEXT)
    assert linked.exit_code == 1
    assert "--link-identities" in linked.stderr
    assert ok(*REQUEST, "--follow-up-of", made["id"], "--link-identities", "--audience", "public", stdin=TEXT)["state"] == "open"
    late = ok(*REQUEST, "--audience", "public", "--one-time", "--delay", "2-12h", stdin="Something else altogether.")
    assert (late["state"], late["url"]) == ("scheduled", None)


def test_whoever_goes_where_a_listing_cannot_hears_where_it_can(house: Path) -> None:  # noqa: F811  # the fixture
    made = ok(*REQUEST, "--audience", "public", stdin=TEXT)
    assert ok("listing", "pause", made["url"])["state"] == "paused"
    assert "it is paused already; nothing was done" in run("listing", "pause", made["id"]).stderr
    refused = run("listing", "fulfil", made["id"])
    assert (refused.exit_code, "`fedmatch listing reopen`" in refused.stderr) == (1, True)
    ok("listing", "reopen", made["id"])
    assert ok("listing", "fulfil", made["id"])["state"] == "fulfilled"
    assert "`fedmatch listing post` asks anew" in run("listing", "renew", made["id"]).stderr
    assert f"`fedmatch delete {made['url']} --as alice`" in run("listing", "withdraw", made["id"]).stderr


def test_what_was_said_under_a_one_time_identity_is_found_again(house: Path) -> None:  # noqa: F811  # the fixture
    hidden = ok(*REQUEST, "--audience", "network", "--one-time", stdin=TEXT)
    waiting = ok(*REQUEST, "--audience", "network", "--one-time", "--delay", "6h", "--publish-anyway", stdin="Other words for it.")
    named = ok(*REQUEST, "--audience", "network", "--publish-anyway", stdin="Words under the name.")
    assert {one["id"] for one in ok("listing", "list", "--as", "alice", "--mine")} == {hidden["id"], waiting["id"], named["id"]}
    # and whoever waits hears until when they can still think better of it
    told = run("listing", "show", waiting["id"]).stdout
    assert "leaves:" in told
    assert ok("listing", "show", waiting["id"])["leaves"].endswith("Z")
    assert ok("listing", "list", "--as", "bob", "--mine") == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("listing", "search", "x", "--region", "Germany"), "--region Germany: not understood; write the two letters of a country"),
        (("listing", "search", "x", "--until", "soon"), "--until soon: not understood; write a day, as in 2026-12-31"),
        ((*REQUEST, "--skill", "Nonsense"), "the skills of LegalAid are AsylumLaw,"),
        ((*REQUEST, "--on-behalf-of", "my brother"), "consent is missing; say why you may speak for them"),
        ((*REQUEST, "--delay", "tomorrow"), "the delay is 'tomorrow'; write 0, 6h or 2-12h"),
        (("respond", "1", "--as", "bob", "--text", "-", "--region", "Sweden"), "--region: 'Sweden' is no country; write its two letters, as in SE"),
    ],
)
def test_an_option_that_means_nothing_names_itself_and_the_cure(house: Path, words: tuple[str, ...], says: str) -> None:  # noqa: F811  # the fixture
    refused = run(*words, stdin=TEXT)
    assert (refused.exit_code, says in refused.stderr) == (2, True), refused.stderr


def test_answers_to_what_is_not_here_are_no_empty_list(house: Path) -> None:  # noqa: F811  # the fixture
    made = ok(*REQUEST, stdin=TEXT)
    assert ok("response", "list", "--as", "alice", "--listing", made["url"]) == []
    assert "there is no request or offer banana here" in run("response", "list", "--as", "alice", "--listing", "banana").stderr
