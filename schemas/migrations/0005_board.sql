-- Requests and offers in full: what is not public rests sealed, who holds a copy, what waits before it is published, and who read how much.

-- more: the members of a public one that have no column of their own, as JSON. pace: 0 its times are exact, 1 coarse (whole hours) but it leaves at once,
-- 2 it leaves on the hour. pause: why it is paused. draft_id: its name before it was published. confidential: it came sealed, from a trusted peer.
-- revision counts up with every write, so that memory knows what to read again.
alter table listing add column more text;
alter table listing add column expires_at integer;
alter table listing add column reviewed integer not null default 0 check (reviewed in (0, 1));
alter table listing add column pace integer not null default 0 check (pace in (0, 1, 2));
alter table listing add column pause text check (pause in ('full', 'author'));
alter table listing add column draft_id integer;
alter table listing add column confidential integer not null default 0 check (confidential in (0, 1));
alter table listing add column revision integer not null default 0;
create index listing_draft on listing (draft_id);
create index listing_private on listing (post_id) where audience <> 'public';

-- What its author demands and nobody else hears: floors, excluded countries, consent, embargo.
create table listing_terms (
  post_id integer primary key references listing (post_id) on delete cascade,
  sealed blob not null
) strict;

-- How much of it is taken and done; `need` is the place of a named need, 0 where there is only one.
create table listing_count (
  post_id integer not null references listing (post_id) on delete cascade,
  need integer not null,
  taken integer not null default 0,
  done integer not null default 0,
  primary key (post_id, need)
) strict;

-- Before it is published it has no id that others ever see.
create table draft (
  id integer primary key,
  actor_id integer not null references actor (id) on delete cascade,
  state text not null check (state in ('draft', 'held', 'refused', 'scheduled')),
  kind text not null check (kind in ('request', 'offer')),
  sealed blob not null,
  publish_at integer,
  reviewed integer not null default 0 check (reviewed in (0, 1)),
  created_at integer not null,
  changed_at integer not null
) strict;
create index draft_state on draft (state, id);
create index draft_actor on draft (actor_id);

-- Which trusted peer was given a listing that is not public, and until when it was readable there; told: it was asked to delete it, and the author knows.
create table listing_copy (
  post_id integer not null references listing (post_id) on delete cascade,
  host_id integer not null references host (id),
  sent_at integer not null,
  ended_at integer,
  told integer not null default 0 check (told in (0, 1)),
  primary key (post_id, host_id)
) strict;
create index listing_copy_host on listing_copy (host_id, post_id);

-- Which listings that are not public somebody opened on one day; both are keyed hashes, and only of that day.
create table listing_reading (
  day integer not null,
  reader blob not null,
  listing blob not null,
  primary key (day, reader, listing)
) strict;

-- What somebody here should look at. `about` names a thing by its id and rests sealed.
create table notification (
  id integer primary key,
  actor_id integer not null references actor (id) on delete cascade,
  kind text not null,
  about blob not null,
  created_at integer not null
) strict;
create index notification_actor on notification (actor_id, id);

-- Which operator of a group acted; nobody outside ever hears of it.
create table listing_act (
  id integer primary key,
  actor_id integer not null references actor (id) on delete cascade,
  sealed blob not null
) strict;
create index listing_act_actor on listing_act (actor_id, id);

-- How often a person let something of this author pass: a newcomer is whoever has none.
create table review_record (
  actor_id integer primary key references actor (id) on delete cascade,
  approved integer not null default 0,
  refused integer not null default 0
) strict;

-- Which servers fetched a public post of ours with a signature: they hold it, so they hear what becomes of it. Hosts alone, never whose key signed.
create table fetched (
  post_id integer not null references post (id) on delete cascade,
  host_id integer not null references host (id) on delete cascade,
  primary key (post_id, host_id)
) strict;
