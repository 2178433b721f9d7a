-- Answers to requests and offers, and what the two sides say to each other. Who answered whom rests sealed; keyed hashes find it again, and tell nobody else.

-- side: whose part of it lives here. live_hash: the pair of listing and helper, while it is live, so that there is one. Times are whole hours, ids too.
create table response (
  id integer primary key,
  state text not null check (state in ('sent', 'opened', 'accepted', 'declined', 'withdrawn', 'released', 'completed', 'failed')),
  side text not null check (side in ('asker', 'helper', 'both')),
  tray text not null check (tray in ('vouched', 'rest', 'held')),
  listing_hash blob not null,
  asker_hash blob not null,
  helper_hash blob not null,
  host_hash blob not null,
  live_hash blob unique,
  sealed blob not null,
  created_at integer not null,
  changed_at integer not null,
  ends_at integer not null
) strict;
create index response_listing on response (listing_hash, state);
create index response_asker on response (asker_hash, state);
create index response_helper on response (helper_hash, state);
create index response_state on response (state, id);

-- Every name an answer has on the wire (its Offer, its agreement, the letters about it), as keyed hashes.
create table response_name (
  hash blob primary key,
  response_id integer not null references response (id) on delete cascade
) strict;
create index response_name_response on response_name (response_id);

-- What is remembered once: that somebody was told something, or that an Offer was taken back before it came.
create table response_once (
  hash blob primary key,
  created_at integer not null
) strict;

-- The key of one conversation; when this row goes, nothing of what was said can be read.
create table conversation (
  response_id integer primary key references response (id) on delete cascade,
  key blob not null,
  notes integer not null default 0 check (notes in (0, 1)),
  created_at integer not null
) strict;

-- place: the order in which messages came; their times and ids tell the hour alone.
create table message (
  id integer primary key,
  response_id integer not null references conversation (response_id) on delete cascade,
  place integer not null,
  hash blob not null unique,
  format text not null,
  key_id text not null,
  ciphertext blob not null,
  created_at integer not null
) strict;
create index message_response on message (response_id, place);

-- A third person who was let into one conversation by both sides: an interpreter, a matchmaker. Leaves with it.
create table conversation_guest (
  id integer primary key,
  response_id integer not null references conversation (response_id) on delete cascade,
  actor_hash blob not null,
  asker_agreed integer not null default 0 check (asker_agreed in (0, 1)),
  helper_agreed integer not null default 0 check (helper_agreed in (0, 1)),
  sealed blob not null,
  unique (response_id, actor_hash)
) strict;
create index conversation_guest_actor on conversation_guest (actor_hash);

-- Name, contact or place, given to one counterpart; and the log of that, for whoever gave it.
create table disclosure (
  id integer primary key,
  response_id integer not null references conversation (response_id) on delete cascade,
  actor_hash blob not null,
  sealed blob not null,
  created_at integer not null
) strict;
create index disclosure_actor on disclosure (actor_hash, id);

-- Somebody proposes to introduce the asker to a third person or role.
create table introduction (
  id integer primary key,
  response_id integer not null references response (id) on delete cascade,
  state text not null check (state in ('asked', 'agreed', 'refused', 'passed')),
  sealed blob not null,
  created_at integer not null
) strict;
create index introduction_response on introduction (response_id);

-- How it went, said in private; and a story of the outcome, told only if both agree.
create table feedback (
  response_id integer not null references response (id) on delete cascade,
  actor_hash blob not null,
  sealed blob not null,
  primary key (response_id, actor_hash)
) strict;

create table story (
  response_id integer primary key references response (id) on delete cascade,
  asker_agreed integer not null default 0 check (asker_agreed in (0, 1)),
  helper_agreed integer not null default 0 check (helper_agreed in (0, 1)),
  sealed blob not null
) strict;

-- What the Applications of other servers say that they understand (FEP-844e).
create table capability (
  host_id integer not null references host (id) on delete cascade,
  iri text not null,
  seen_at integer not null,
  primary key (host_id, iri)
) strict;
