-- The border below the level of hosts (those are in peer): decisions about one actor, or about one key wherever it turns up; what waits for an admin; reports.

-- subject: an actor's id, or the SHA-256 of a public key. through: the key whose rule this actor's rule follows from.
create table border_rule (
  id integer primary key,
  kind text not null check (kind in ('actor', 'key')),
  subject text not null,
  level text not null check (level in ('known', 'limited', 'blocked')),
  through text,
  reason text,
  since integer not null,
  unique (kind, subject)
) strict;
create index border_rule_through on border_rule (through);

-- A post of somebody limited, or of a stranger who is held, that is addressed to somebody here who does not follow them.
create table waiting_message (
  post_id integer not null references post (id) on delete cascade,
  actor_id integer not null references actor (id) on delete cascade,
  primary key (post_id, actor_id)
) strict;
create index waiting_message_actor on waiting_message (actor_id);

-- A complaint about somebody, made here (host_id is null) or sent by another server. Who complained, what they wrote and about which posts rests sealed.
create table report (
  id integer primary key,
  uri text not null unique,
  state text not null check (state in ('open', 'taken', 'closed')),
  host_id integer references host (id),
  reported_id integer not null references actor (id) on delete cascade,
  sealed blob not null,
  repeats integer not null default 0,
  forwarded_at integer,
  created_at integer not null,
  changed_at integer not null
) strict;
create index report_state on report (state, id);
create index report_host on report (host_id, reported_id, state);
create index report_reported on report (reported_id);

create index actor_host on actor (host_id);
create index actor_barred on actor (id) where local = 0 and state = 'suspended';
