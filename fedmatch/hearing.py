"""Who hears what the rooms below tell? The one list; fedmatch/app.py gives it to the instance."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from actors.instance import Instance
from fedmatch import addresses, people
from fedmatch.board import checked, copies, heard, identities, receive, replies, topic_help, topics, weighing, welcome
from fedmatch.safety import border, reports, retention
from schemas import events
from schemas.storage import Transaction

E = TypeVar("E")


def subscribers(instance: Instance) -> dict[type, tuple[events.Subscriber, ...]]:
    """Who hears what: the one list."""
    return {
        events.PostArrived: (
            _hears(instance, events.PostArrived, receive.arrived),
            _hears(instance, events.PostArrived, topic_help.arrived),
            _hears(instance, events.PostArrived, replies.arrived),
        ),
        events.PostStored: (_hears(instance, events.PostStored, receive.stored), _hears(instance, events.PostStored, topics.stored)),
        events.PlainStored: (_hears(instance, events.PlainStored, receive.plain),),
        events.PostChanged: (
            _hears(instance, events.PostChanged, receive.changed),
            _hears(instance, events.PostChanged, topics.changed),
            _hears(instance, events.PostChanged, heard.closed),
            _hears(instance, events.PostChanged, identities.changed),
            _hears(instance, events.PostChanged, retention.changed),
        ),
        events.PostGone: (
            _hears(instance, events.PostGone, receive.gone),
            _hears(instance, events.PostGone, topics.gone),
            _hears(instance, events.PostGone, heard.closed),
            _hears(instance, events.PostGone, identities.gone),
        ),
        events.Revised: (_hears(instance, events.Revised, replies.revised),),
        events.Withdrawn: (_hears(instance, events.Withdrawn, topics.withdrawn),),
        events.Boosted: (_hears(instance, events.Boosted, receive.boosted),),
        events.Followed: (_hears(instance, events.Followed, border.followed),),
        events.Reported: (_hears(instance, events.Reported, reports.received),),
        events.Offered: (_hears(instance, events.Offered, heard.offered),),
        events.OfferAnswered: (_hears(instance, events.OfferAnswered, heard.answered),),
        events.OfferUndone: (_hears(instance, events.OfferUndone, heard.undone),),
        events.AgreementChanged: (_hears(instance, events.AgreementChanged, heard.changed),),
        events.VouchesChanged: (
            _hears(instance, events.VouchesChanged, weighing.judged_anew),
            _hears(instance, events.VouchesChanged, copies.judged_anew),
            _hears(instance, events.VouchesChanged, checked.judged_anew),
        ),
        events.PeerTrusted: (_hears(instance, events.PeerTrusted, copies.trusted), _hears(instance, events.PeerTrusted, welcome.trusted)),
        events.PeerLost: (_hears(instance, events.PeerLost, weighing.judged_anew), _hears(instance, events.PeerLost, copies.lost)),
        events.InboxMoved: (_hears(instance, events.InboxMoved, addresses.moved),),
        events.ActorGone: (
            _hears(instance, events.ActorGone, heard.gone),
            _hears(instance, events.ActorGone, people.gone),
            _hears(instance, events.ActorGone, topics.departed),
        ),
    }


def _hears(instance: Instance, kind: type[E], act: Callable[[Instance, Transaction, E], Awaitable[events.Answer | None]]) -> events.Subscriber:
    """A subscriber to one kind of event, from a function that takes exactly that kind."""

    async def subscriber(tx: Transaction, event: events.Event, /) -> events.Answer | None:
        if not isinstance(event, kind):
            raise TypeError(f"{kind.__name__} expected")
        return await act(instance, tx, event)

    return subscriber
