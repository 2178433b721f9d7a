-- Pairs of a request and an offer that might fit, with the reasons as codes. What fits what rests sealed: it would tell what a request is about.

-- offer_hash finds a pair by its offer, pair_hash keeps it single. Times are whole hours. A dismissed pair stays, so that it never comes back.
create table suggestion (
  id integer primary key,
  request_id integer not null references listing (post_id) on delete cascade,
  offer_hash blob not null,
  pair_hash blob not null unique,
  state text not null check (state in ('shown', 'proposed', 'dismissed', 'taken')),
  sealed blob not null,
  created_at integer not null,
  changed_at integer not null
) strict;
create index suggestion_request on suggestion (request_id);
create index suggestion_offer on suggestion (offer_hash);

-- How often somebody's offers were suggested on a day, so that not always the same few are.
create table exposure (
  day integer not null,
  helper blob not null,
  number integer not null,
  primary key (helper, day)
) strict;
create index exposure_day on exposure (day);

-- What somebody wants to hear of when it is posted.
create table saved_search (
  id integer primary key,
  actor_id integer not null references actor (id) on delete cascade,
  sealed blob not null,
  created_at integer not null
) strict;
create index saved_search_actor on saved_search (actor_id);

-- A role more: a matchmaker sees suggestions for requests that are too sensitive for others. A table's check is changed by making it anew.
create table membership_anew (
  account_id integer not null references account (id) on delete cascade,
  actor_id integer not null references actor (id) on delete cascade,
  role text not null check (role in ('helper', 'member', 'matchmaker', 'operator', 'moderator', 'admin')),
  since integer not null,
  primary key (account_id, actor_id)
) strict;
insert into membership_anew (account_id, actor_id, role, since)
select membership.account_id, membership.actor_id, membership.role, membership.since
from membership;
drop table membership;
alter table membership_anew rename to membership;
create index membership_actor on membership (actor_id);
