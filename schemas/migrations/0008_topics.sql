-- The Services of the board (one for each field of help) and who follows them: a list of helpers is nobody's business, also not on a disk that was taken away.

-- An inbox whose address names a person. Deliveries say `sealed:MARK`; the mark is a keyed hash of the address.
create table sealed_inbox (
  mark text primary key,
  host_id integer not null references host (id),
  sealed blob not null
) strict;
create index sealed_inbox_host on sealed_inbox (host_id);

-- Who follows a Service of ours. `mark` is a keyed hash of follower and Service, so that rows of one person are not seen to be of one; `person` is sealed and
-- tells only which rows are (not who it is). `inbox` is the shared inbox of their server, or `sealed:MARK` where it has none. No time: nobody joined on a day.
create table quiet_follower (
  actor_id integer not null references actor (id) on delete cascade,
  mark text not null,
  host_id integer not null references host (id),
  inbox text not null,
  person blob not null,
  primary key (actor_id, mark)
) strict;
create index quiet_follower_host on quiet_follower (host_id);
create index quiet_follower_inbox on quiet_follower (inbox);

-- Which Service announces which listing. `uri` is the Announce, of the last time if it was taken back and said again.
create table announcement (
  post_id integer not null references post (id) on delete cascade,
  actor_id integer not null references actor (id) on delete cascade,
  state text not null check (state in ('waiting', 'announced', 'undone')),
  uri text,
  primary key (post_id, actor_id)
) strict;
create index announcement_actor on announcement (actor_id, state);

-- How much a Service may announce at once: a bucket that fills up again with time. Milliseconds UTC.
create table announcer (
  actor_id integer primary key references actor (id) on delete cascade,
  slug text not null unique,
  tokens real not null,
  filled_at integer not null
) strict;

-- Whom a Service told how it works: a keyed hash, kept for a day.
create table told_help (
  mark text primary key,
  until integer not null
) strict;
create index told_help_until on told_help (until);
