"""Do answers read as they were written, by us and by those who speak FEP-0837 in other accents?"""

from typing import Any

import pytest

from schemas import agreements, documents, jsonld
from schemas.activities import Accept, Activity, Create, Offer, Other, Reject, Undo, Update, parse
from schemas.objects import Agreement, Receipt
from schemas.reading import Iri, Unreadable

HELPER = Iri("https://b.example/users/helper")
ASKER = Iri("https://a.example/users/asker")
LISTING = Iri("https://a.example/posts/1")
INTENT = Iri(f"{LISTING}#primary")
AGREED = Iri("https://a.example/agreements/1")

OFFER = Offer(
    id=Iri("https://b.example/offers/1"),
    actor=HELPER,
    to=(ASKER,),
    object=Agreement(INTENT, text="I know the law of asylum in Sweden.", language="en", need="lawyer", quantity=2),
)


@pytest.mark.parametrize(
    "said",
    [
        OFFER,
        Accept(id=Iri(f"{AGREED}/accept"), actor=ASKER, to=(HELPER,), object=OFFER, result=Agreement(INTENT, id=AGREED, attributed_to=ASKER)),
        Reject(id=Iri(f"{AGREED}/reject"), actor=ASKER, to=(HELPER,), object=OFFER, content="found: a lawyer came forward"),
        Undo(id=Iri("https://b.example/offers/1/undo"), actor=HELPER, to=(ASKER,), object=OFFER),
        Update(
            id=Iri(f"{AGREED}/done"),
            actor=ASKER,
            to=(HELPER,),
            object=Agreement(INTENT, id=AGREED, attributed_to=ASKER, finished=True, receipt=Iri(f"{AGREED}/receipt")),
        ),
        Create(id=Iri("https://b.example/r/1/create"), actor=HELPER, to=(ASKER,), object=Receipt(Iri("https://b.example/r/1"), HELPER, AGREED, failed=True)),
    ],
    ids=lambda said: type(said).__name__,
)
def test_what_we_write_is_read_back_unchanged(said: Activity) -> None:
    assert parse(documents.activity(said)) == said


def test_numbers_are_written_as_text() -> None:
    document = documents.activity(OFFER)

    assert document["object"]["stipulates"]["resourceQuantity"] == {"hasUnit": "one", "hasNumericalValue": "2"}
    assert "id" not in document["object"], "what is only offered has no id yet"
    assert document["to"] == [ASKER]
    assert document["cc"] == []


def offered(agreement: dict[str, Any]) -> dict[str, Any]:
    return {"id": "https://b.example/offers/9", "type": "Offer", "actor": HELPER, "to": [ASKER], "object": agreement}


MITRA = {
    "type": "Agreement",
    "stipulates": {"type": "Commitment", "satisfies": INTENT, "resourceQuantity": {"hasUnit": "one", "hasNumericalValue": "1"}},
    "stipulatesReciprocal": {
        "type": "Commitment",
        "satisfies": f"{LISTING}#reciprocal",
        "resourceQuantity": {"hasUnit": "monero", "hasNumericalValue": "5000"},
    },
}
FEDIFY = {
    "type": "Agreement",
    "stipulates": {"type": "Commitment", "satisfies": INTENT, "resourceQuantity": {"type": "om2:Measure", "hasUnit": "one", "hasNumericalValue": 1}},
}
PREFIXED = {
    "type": "vf:Agreement",
    "vf:stipulates": [
        {
            "type": "vf:Commitment",
            "vf:satisfies": {"id": INTENT},
            "vf:resourceQuantity": {"om2:hasUnit": "one", "om2:hasNumericalValue": {"@value": "1.0", "@type": "xsd:decimal"}},
        }
    ],
}
FULL = {
    "type": "https://w3id.org/valueflows/ont/vf#Agreement",
    "https://w3id.org/valueflows/ont/vf#stipulates": {"https://w3id.org/valueflows/ont/vf#satisfies": INTENT},
}


@pytest.mark.parametrize("agreement", [MITRA, FEDIFY, PREFIXED, FULL], ids=["mitra", "fedify", "prefixed", "full IRIs"])
def test_other_accents_mean_the_same(agreement: dict[str, Any]) -> None:
    said = parse(offered(agreement))

    assert isinstance(said, Offer)
    assert (said.object.satisfies, said.object.quantity, said.object.unit) == (INTENT, 1, "one")


@pytest.mark.parametrize("number", [0, -1, 1.5, "1.5", "many", True, "", "99999999", 10**12])
def test_what_is_no_whole_number_from_one_up_is_no_quantity(number: object) -> None:
    said = parse(offered({"type": "Agreement", "stipulates": {"satisfies": INTENT, "resourceQuantity": {"hasUnit": "one", "hasNumericalValue": number}}}))

    assert isinstance(said, Offer)
    assert said.object.quantity == 0


@pytest.mark.parametrize("agreement", [{"type": "Agreement"}, {"type": "Agreement", "stipulates": {}}, {"type": "Agreement", "stipulates": {"satisfies": 5}}])
def test_an_offer_that_satisfies_nothing_is_unreadable(agreement: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        parse(offered(agreement))


def test_an_offer_of_anything_else_is_none_of_ours() -> None:
    said = parse(offered({"type": "Note", "content": "a note"}))

    assert isinstance(said, Other)


def test_the_intent_of_a_listing_and_of_its_twin_are_one() -> None:
    assert agreements.intent_owner(INTENT) == LISTING
    assert agreements.intent_owner(Iri(f"{LISTING}/proposal#primary")) == LISTING


def test_the_capability_is_announced() -> None:
    assert agreements.CAPABILITY in dict(documents.CAPABILITIES)


def test_pyld_finds_every_member_of_what_we_send() -> None:
    agreed = Agreement(INTENT, id=AGREED, attributed_to=ASKER, finished=True)
    accept = Accept(id=Iri(f"{AGREED}/accept"), actor=ASKER, to=(HELPER,), object=OFFER, result=agreed)
    document = documents.activity(accept)

    plain = jsonld.plain(document)
    assert parse(plain) == parse(document)


@pytest.mark.parametrize("agreement", [PREFIXED, FULL], ids=["prefixed", "full IRIs"])
def test_what_pyld_makes_plain_means_the_same(agreement: dict[str, Any]) -> None:
    prefixes = {"vf": "https://w3id.org/valueflows/ont/vf#", "om2": "http://www.ontology-of-units-of-measure.org/resource/om-2/"}
    said = offered(agreement) | {"@context": ["https://www.w3.org/ns/activitystreams", prefixes]}

    read = parse(jsonld.plain(said))
    assert isinstance(read, Offer)
    assert (read.object.satisfies, read.object.quantity) == (INTENT, 1)
