-- The house, from the first day: who is who, what we hold, what arrives, what leaves, what is to be done.
-- Five types only (integer, text, blob, real, strict); times are integer milliseconds UTC; booleans are 0 or 1.

create table setting (
  name text primary key,
  value text not null
) strict;

-- What a process may keep in memory. A writer counts up; every other process notices the commit, compares, and forgets.
create table generation (
  name text primary key,
  value integer not null
) strict;

-- The two keys of the vault, wrapped by the key that its source gives. The public one is open: a locked instance seals to it.
create table vault (
  id integer primary key,
  source text not null check (source in ('passphrase', 'credential', 'file')),
  salt blob not null,
  public_key blob not null,
  wrapped blob not null,
  created_at integer not null
) strict;

-- Another server, as a place to deliver to. Whether we trust it is in peer.
create table host (
  id integer primary key,
  name text not null unique,
  scheme text not null default 'cavage' check (scheme in ('cavage', 'rfc9421')),
  first_seen integer not null,
  last_heard integer,
  failures integer not null default 0,
  failing_since integer,
  open_until integer not null default 0,
  down_since integer,
  next_at integer,
  lease_until integer not null default 0,
  lease_by text
) strict;
create index host_due on host (next_at);

create table peer (
  host_id integer primary key references host (id) on delete cascade,
  level text not null check (level in ('trusted', 'known', 'limited', 'blocked')),
  reason text,
  since integer not null
) strict;

-- A login. It is not an actor: membership says which actors it may act for, and as what.
create table account (
  id integer primary key,
  state text not null default 'active' check (state in ('active', 'suspended', 'deleted')),
  locale text,
  created_at integer not null
) strict;

create table actor (
  id integer primary key,
  uri text not null unique,
  local integer not null check (local in (0, 1)),
  host_id integer references host (id),
  kind text not null check (kind in ('Person', 'Service', 'Application', 'Group', 'Organization')),
  username text not null,
  handle_host text not null,
  state text not null default 'active' check (state in ('active', 'suspended', 'gone')),
  name text,
  summary text,
  url text,
  inbox text not null,
  shared_inbox text,
  outbox text,
  followers text,
  following text,
  featured text,
  icon text,
  locked integer not null default 0,
  discoverable integer not null default 0,
  also_known_as text not null default '[]',
  moved_to text,
  fields text not null default '[]',
  published integer,
  updated integer,
  fetched_at integer not null,
  failed_at integer
) strict;
create unique index actor_local_name on actor (username) where local = 1;
create index actor_handle on actor (handle_host, username);
create index actor_inbox on actor (inbox);

create table membership (
  account_id integer not null references account (id) on delete cascade,
  actor_id integer not null references actor (id) on delete cascade,
  role text not null check (role in ('helper', 'member', 'operator', 'moderator', 'admin')),
  since integer not null,
  primary key (account_id, actor_id)
) strict;
create index membership_actor on membership (actor_id);

-- Public halves of everybody's keys; the private half, sealed, of ours.
create table actor_key (
  id integer primary key,
  uri text not null unique,
  actor_id integer not null references actor (id) on delete cascade,
  algorithm text not null check (algorithm in ('rsa', 'ed25519')),
  public_key blob not null,
  private_key blob,
  created_at integer not null,
  retired_at integer
) strict;
create index actor_key_actor on actor_key (actor_id);

-- A way in for an app or a script. Only the SHA-256 of the token is kept.
create table token (
  id integer primary key,
  hash blob not null unique,
  account_id integer not null references account (id) on delete cascade,
  actor_id integer not null references actor (id) on delete cascade,
  scopes text not null,
  created_at integer not null,
  revoked_at integer
) strict;

create table follow (
  id integer primary key,
  uri text not null unique,
  follower_id integer not null references actor (id) on delete cascade,
  followed_id integer not null references actor (id) on delete cascade,
  state text not null check (state in ('requested', 'accepted', 'rejected', 'undone')),
  created_at integer not null,
  changed_at integer not null,
  unique (follower_id, followed_id)
) strict;
create index follow_followed on follow (followed_id, state);

-- Ours and theirs, boosts too. What is not public rests sealed: then content, summary, tags and document are null.
create table post (
  id integer primary key,
  uri text not null unique,
  url text,
  actor_id integer not null references actor (id) on delete cascade,
  local integer not null check (local in (0, 1)),
  kind text not null,
  visibility text not null check (visibility in ('public', 'unlisted', 'followers', 'direct')),
  boost_of integer references post (id) on delete cascade,
  in_reply_to text,
  in_reply_to_id integer references post (id) on delete set null,
  conversation text,
  content text,
  summary text,
  language text,
  tags text,
  sealed blob,
  sensitive integer not null default 0,
  published integer not null,
  updated integer,
  received_at integer not null,
  document blob
) strict;
create index post_actor on post (actor_id, id);
create index post_reply on post (in_reply_to);
create index post_reply_id on post (in_reply_to_id);
create index post_boost on post (boost_of);
create index post_public on post (id) where visibility = 'public';

create table post_audience (
  post_id integer not null references post (id) on delete cascade,
  target text not null,
  field text not null check (field in ('to', 'cc', 'audience')),
  actor_id integer references actor (id) on delete set null,
  primary key (post_id, target, field)
) strict;
create index post_audience_target on post_audience (target);
create index post_audience_actor on post_audience (actor_id);

create table post_tag (
  post_id integer not null references post (id) on delete cascade,
  name text not null,
  primary key (post_id, name)
) strict;
create index post_tag_name on post_tag (name, post_id);

-- Who reads what at home, written when it arrives.
create table home (
  actor_id integer not null references actor (id) on delete cascade,
  post_id integer not null references post (id) on delete cascade,
  primary key (actor_id, post_id)
) strict;
create index home_post on home (post_id);

create table listing (
  post_id integer primary key references post (id) on delete cascade,
  kind text not null check (kind in ('request', 'offer')),
  state text not null check (state in ('draft', 'held', 'refused', 'scheduled', 'open', 'paused', 'matched', 'fulfilled', 'expired', 'withdrawn')),
  audience text not null check (audience in ('local', 'peers', 'network', 'public')),
  title text,
  text text,
  sealed blob,
  language text,
  region text,
  urgency text check (urgency in ('hours', 'days', 'weeks', 'anytime')),
  until integer,
  created_at integer not null,
  changed_at integer not null
) strict;
create index listing_state on listing (state, post_id);
create index listing_until on listing (until);

create table listing_tag (
  post_id integer not null references listing (post_id) on delete cascade,
  kind text not null check (kind in ('category', 'skill', 'speaks')),
  slug text not null,
  place integer not null,
  primary key (post_id, kind, slug)
) strict;
create index listing_tag_slug on listing_tag (kind, slug, post_id);

-- An activity that arrived. The row is both dedupe and durability; the body is sealed and erased when it is done.
create table arrival (
  id integer primary key,
  uri text not null unique,
  host_id integer not null references host (id),
  state text not null check (state in ('unverified', 'waiting', 'done', 'failed')),
  body blob,
  size integer not null,
  received_at integer not null,
  run_at integer not null,
  lease_until integer not null default 0,
  attempts integer not null default 0,
  error text,
  done_at integer
) strict;
create index arrival_due on arrival (state, run_at, id);
create index arrival_host on arrival (host_id);
create index arrival_done on arrival (done_at);

-- One activity of ours that leaves, its body sealed until the last of its deliveries is finished.
create table outgoing (
  id integer primary key,
  uri text not null unique,
  actor_id integer not null references actor (id) on delete cascade,
  kind text not null,
  object text not null,
  ordering_key text not null,
  body blob,
  created_at integer not null
) strict;
create index outgoing_order on outgoing (ordering_key);
create index outgoing_actor on outgoing (actor_id);

create table delivery (
  id integer primary key,
  outgoing_id integer not null references outgoing (id) on delete cascade,
  host_id integer not null references host (id),
  inbox text not null,
  ordering_key text not null,
  state text not null check (state in ('waiting', 'sent', 'dead', 'superseded')),
  attempts integer not null default 0,
  refusals integer not null default 0,
  created_at integer not null,
  next_at integer not null,
  lease_until integer not null default 0,
  finished_at integer,
  error text,
  unique (outgoing_id, inbox)
) strict;
create index delivery_due on delivery (host_id, state, next_at, id);
create index delivery_order on delivery (ordering_key, host_id, state);
create index delivery_state on delivery (state, id);

create table job (
  id integer primary key,
  kind text not null,
  key text not null,
  state text not null default 'waiting' check (state in ('waiting', 'running', 'quarantined')),
  payload blob,
  run_at integer not null,
  lease_until integer not null default 0,
  attempts integer not null default 0,
  crashes integer not null default 0,
  error text
) strict;
create unique index job_once on job (kind, key) where state = 'waiting';
create index job_due on job (state, run_at, id);

-- What was deleted, kept so that a late Create cannot bring it back and a restore can be replayed.
create table tombstone (
  uri text primary key,
  former_type text not null,
  public integer not null default 0,
  deleted_at integer not null
) strict;

-- An Undo that came before what it undoes (kept >= 6 h), so that the original is dropped when it arrives.
create table undone (
  uri text primary key,
  actor text not null,
  until integer not null
) strict;
