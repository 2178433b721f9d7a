"""Rows A1-A18 of protocol.md section 10: discovery. (A9, split domains: test_rows_split.py.)"""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from fedmatch import people
from fedmatch.board import deletion
from tests.fakepeer import AP, AS2, FakeActor, FakePeer
from tests.personalities import ALL, GoToSocial, Mastodon, Personality
from tests.wire import Answer, Reply, http, reply_json
from tests.world import Person, World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="module")
FINGER = "/.well-known/webfinger"


@dataclass
class Place:
    """One instance with an open person, and two other servers."""

    world: World
    amina: Person
    peer: FakePeer
    elsewhere: FakePeer
    count: int = 0

    async def finger(self, resource: str, *more: str) -> Answer:
        return await self.amina.site.get("&".join([f"{FINGER}?resource={resource}", *more]), "application/jrd+json")

    def stranger(self, peer: FakePeer | None = None, **overrides: Any) -> FakeActor:
        self.count += 1
        return (peer or self.peer).actor(f"s{self.count}", overrides=overrides)

    async def found(self, handle: str) -> str | None:
        """The id behind a handle, None if nobody is found."""
        try:
            return (await people.find(self.amina.site.instance, handle)).uri
        except people.NotFound:
            return None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with open_world(tmp_path_factory.mktemp("discovery")) as world:
        yield Place(world, await world.person("amina@a"), await world.peer(), await world.peer())


def own_links(answer: Answer) -> list[dict[str, str]]:
    return [link for link in answer.json["links"] if link["rel"] == "self"]


async def test_a1_a_handle_leads_to_one_actor(place: Place) -> None:
    answer = await place.finger(f"acct:{place.amina.handle}")
    assert answer.status == 200
    assert answer.header("content-type").partition(";")[0] == "application/jrd+json"
    assert answer.json["subject"] == f"acct:{place.amina.handle}"
    assert [(link["type"], link["href"]) for link in own_links(answer)] == [(AP, place.amina.uri)]


@pytest.mark.parametrize("kind", ALL)
async def test_a1_every_server_finds_it(place: Place, kind: type[Personality]) -> None:
    """By the rules of that server, WebFinger included where it asks."""
    peer = await kind(place.world.clock.now).start()
    place.world.peers.append(peer)
    document = await peer.look_up(place.amina.uri)
    assert isinstance(document, dict), document
    assert await peer._handle(document) is None


@pytest.mark.parametrize("spelling", ["acct%3A{name}%40{host}", "acct:{NAME}@{host}", "acct:{name}%40{host}", "acct:{name}@{HOST}"])
async def test_a2_every_spelling_is_answered_alike(place: Place, spelling: str) -> None:
    right = (await place.finger(f"acct:{place.amina.handle}")).json
    host = place.amina.site.host
    asked = spelling.format(name="amina", NAME="AMINA", host=host, HOST=host.upper())
    assert (await place.finger(asked)).json == right


@pytest.mark.parametrize("query", ["rel=self&resource={r}", "resource={r}&rel=self&rel=x", "rel=http%3A%2F%2Funknown&resource={r}", "x=1&resource={r}&y=2"])
async def test_a2_more_parameters_in_any_order_change_nothing(place: Place, query: str) -> None:
    right = (await place.finger(f"acct:{place.amina.handle}")).json
    assert (await place.amina.site.get(f"{FINGER}?{query.format(r=f'acct:{place.amina.handle}')}")).json == right


@pytest.mark.parametrize(
    "query", ["", "?resource=", "?resource==x", "?resource=amina", "?resource=%40%40", "?rel=self", "?resource=acct:", "?resource=a&resource=b"]
)
async def test_a3_what_is_no_resource_is_400_and_no_jrd(place: Place, query: str) -> None:
    answer = await place.amina.site.get(FINGER + query)
    assert answer.status == 400
    assert "jrd" not in answer.header("content-type")
    assert "subject" not in answer.json


async def test_a4_nobody_is_404_and_who_was_deleted_410(place: Place) -> None:
    assert (await place.finger(f"acct:nobody@{place.amina.site.host}")).status == 404
    gone = await place.world.person("gone@a")
    await deletion.delete_person(place.amina.site.instance, gone.actor)
    await place.world.settle()
    answer = await place.finger(f"acct:{gone.handle}")
    assert answer.status == 410
    assert "subject" not in answer.json


async def test_a5_the_id_and_the_page_are_names_too(place: Place) -> None:
    right = (await place.finger(f"acct:{place.amina.handle}")).json["subject"]
    for resource in (place.amina.uri, f"{place.amina.site.base}/@amina"):
        assert (await place.finger(resource)).json["subject"] == right


async def test_a6_every_answer_may_be_read_from_any_origin(place: Place) -> None:
    for query in (f"?resource=acct:{place.amina.handle}", "", "?resource=acct:nobody@x.example", f"?resource=acct:nobody@{place.amina.site.host}"):
        assert (await place.amina.site.get(FINGER + query)).header("access-control-allow-origin") == "*"


async def test_a7_the_host_itself_is_the_instance_actor(place: Place) -> None:
    for resource in (f"{place.amina.site.base}/", f"{place.amina.site.base}/actor"):
        links = (await place.finger(resource)).json["links"]
        rels = {link["rel"]: link["href"] for link in links}
        assert rels["self"] == rels[f"{AS2}#Service"] == f"{place.amina.site.base}/actor"


@pytest.mark.parametrize(
    "resource", ["foo:bar", "mailto:x@y.example", "did:key:z6Mk", "urn:x", "tel:1", "x" * 3000, "http://[", "acct:a@b@c", "https://elsewhere.example/users/x"]
)
async def test_a8_any_scheme_is_answered_politely(place: Place, resource: str) -> None:
    assert (await place.finger(resource)).status in {400, 404}


async def test_a10_host_meta_in_both_forms(place: Place) -> None:
    xml = await place.amina.site.get("/.well-known/host-meta", "application/xrd+xml")
    assert xml.header("content-type").partition(";")[0] == "application/xrd+xml"
    [template] = re.findall(r'rel="lrdd" template="([^"]+)"', xml.text)
    assert "{uri}" in template
    for path, accept in (("/.well-known/host-meta.json", "*/*"), ("/.well-known/host-meta", "application/json")):
        answer = await place.amina.site.get(path, accept)
        assert [link["template"] for link in answer.json["links"]] == [template]
    assert (await http("GET", template.replace("{uri}", f"acct:{place.amina.handle}"))).json["subject"] == f"acct:{place.amina.handle}"


async def test_a11_nodeinfo_is_as_its_schema_says(place: Place) -> None:
    links = (await place.amina.site.get("/.well-known/nodeinfo", "application/json")).json["links"]
    schemas = {link["rel"]: link["href"] for link in links if "nodeinfo.diaspora.software/ns/schema/" in link["rel"]}
    assert schemas
    for rel, href in schemas.items():
        info = (await http("GET", href)).json
        assert set(info) == {"version", "software", "protocols", "services", "openRegistrations", "usage", "metadata"}
        assert info["version"] == rel.rpartition("/")[2]
        assert re.fullmatch(r"[a-z0-9-]+", info["software"]["name"])
        assert isinstance(info["software"]["version"], str)
        assert info["protocols"] == ["activitypub"]
        assert info["services"] == {"inbound": [], "outbound": []}
        assert isinstance(info["openRegistrations"], bool)
        assert isinstance(info["metadata"], dict)


async def test_a12_nodeinfo_leads_to_the_instance_actor(place: Place) -> None:
    links = (await place.amina.site.get("/.well-known/nodeinfo", "application/json")).json["links"]
    [href] = [link["href"] for link in links if link["rel"] == f"{AS2}#Application"]
    assert (await http("GET", href, [("Accept", AP)])).json["type"] == "Application"


async def test_a13_no_number_is_told_rather_than_a_false_one(place: Place) -> None:
    for version in ("2.0", "2.1"):
        assert (await place.amina.site.get(f"/nodeinfo/{version}")).json["usage"] == {"users": {}}


@pytest.mark.parametrize("form", ["double", "single", "prefixed", "escaped"])
async def test_a14_where_webfinger_is_missing_host_meta_is_followed_once(place: Place, form: str) -> None:
    stranger = place.stranger()
    template = f"{place.peer.base}/finger?a=1&resource={{uri}}"
    link = {
        "double": f'<Link rel="lrdd" template="{template.replace("&", "&amp;")}"/>',
        "single": f"<Link template='{template.replace('&', '&amp;')}' rel='lrdd'/>",
        "prefixed": f'<hm:Link rel="lrdd" type="application/jrd+json" template="{template.replace("&", "&amp;")}"/>',
        "escaped": f'<Link rel="lrdd" template="{template.replace("&", "&#38;")}"/>',
    }[form]
    place.peer.always(FINGER, Reply(404))
    place.peer.always("/.well-known/host-meta", Reply(200, f"<XRD>{link}</XRD>".encode(), content_type="application/xrd+xml"))
    links = [{"rel": "self", "type": AP, "href": stranger.id}]
    place.peer.always("/finger", reply_json({"subject": f"acct:{stranger.handle}", "links": links}, content_type="application/jrd+json"))
    try:
        assert await place.found(stranger.handle) == stranger.id
        assert len(place.peer.asked("/finger")) == 1
    finally:
        for path in (FINGER, "/.well-known/host-meta", "/finger"):
            place.peer.always(path, None)
        place.peer.log.clear()


async def test_a15_a_third_hop_is_refused(place: Place) -> None:
    stranger = place.stranger()
    for peer, subject in ((place.peer, f"x@{place.elsewhere.host}"), (place.elsewhere, f"y@{place.peer.host}")):
        links = [{"rel": "self", "type": AP, "href": stranger.id}]
        peer.always(FINGER, reply_json({"subject": f"acct:{subject}", "links": links}, content_type="application/jrd+json"))
    try:
        assert await place.found(stranger.handle) is None
    finally:
        place.peer.always(FINGER, None)
        place.elsewhere.always(FINGER, None)


async def test_a16_a_self_link_to_another_id_is_refused(place: Place) -> None:
    stranger, other = place.stranger(), place.stranger()
    place.peer.always(
        FINGER,
        reply_json({"subject": f"acct:{stranger.handle}", "links": [{"rel": "self", "type": AP, "href": other.id}]}, content_type="application/jrd+json"),
    )
    try:
        assert await place.found(stranger.handle) is None
        assert await place.amina.site.count("actor", "uri in (:one, :two)", one=stranger.id, two=other.id) == 0
    finally:
        place.peer.always(FINGER, None)


async def test_a17_a_handle_on_another_domain_that_loops_back_is_shown(place: Place) -> None:
    stranger = place.stranger()
    stranger.overrides["webfinger"] = f"{stranger.name}@{place.elsewhere.host}"
    answer = reply_json(
        {"subject": f"acct:{stranger.name}@{place.elsewhere.host}", "links": [{"rel": "self", "type": AP, "href": stranger.id}]},
        content_type="application/jrd+json",
    )
    place.peer.always(FINGER, answer)
    place.elsewhere.always(FINGER, answer)
    try:
        assert (await stranger.send(stranger.follow(place.amina.uri), place.amina.actor.inbox)).status == 202
        await place.world.settle()
        [row] = await place.amina.site.rows("select username, handle_host from actor where uri = :uri", uri=stranger.id)
        assert (row["username"], row["handle_host"]) == (stranger.name, place.elsewhere.host)
    finally:
        place.peer.always(FINGER, None)
        place.elsewhere.always(FINGER, None)


@pytest.mark.parametrize("name", [None, "", 7, ["x"], {}, "a b", "a/b", "\u202ex"])
async def test_a18_an_actor_without_a_name_is_refused_without_a_crash(place: Place, name: Any) -> None:
    stranger = place.stranger()
    stranger.overrides["preferredUsername"] = name
    answer = await stranger.send(stranger.follow(place.amina.uri), place.amina.actor.inbox)
    # A list of one name is read as that name; its WebFinger knows no such name.
    assert answer.status == 401, json.dumps(name)
    await place.world.settle()
    assert await place.amina.site.count("actor", "uri = :uri", uri=stranger.id) == 0


@pytest.mark.parametrize("kind", [GoToSocial, Mastodon])
async def test_a_look_up_of_theirs_is_signed_where_they_demand_it(place: Place, kind: type[Personality]) -> None:
    """Section 13: GoToSocial answers 401 to any unsigned GET of an actor, so we sign with the instance actor."""
    peer = await kind(place.world.clock.now).start()
    place.world.peers.append(peer)
    stranger = peer.actor("stranger")
    assert await place.found(stranger.handle) == stranger.id
    [asked] = peer.asked("/users/stranger")
    assert asked.signature == "valid"
