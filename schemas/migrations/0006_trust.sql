-- Trust between instances: who may read what is not public, whose word counts for whom, and what staff did.

-- Our own X25519 keys: peers seal to them. A replaced one opens what is still on its way, until `retired_at`.
create table sealing_key (
  id integer primary key,
  uri text not null unique,
  public_key blob not null,
  private_key blob not null,
  created_at integer not null,
  retired_at integer
) strict;

-- What the old keys of our Application said of the new ones, as its document shows it, oldest first.
create table key_rotation (
  id integer primary key,
  document text not null,
  created_at integer not null
) strict;

-- The handshake with one other instance; its level is in peer. `follow` is our Follow of its Application, `asked` its Follow of ours, `accepted_at` its Accept of
-- ours, `agreed_at` the word of an admin here, `lost_at` when it showed a key that its pinned ones did not sign. `terms` is what it publishes of itself (JSON).
create table handshake (
  host_id integer primary key references host (id) on delete cascade,
  application text not null,
  inbox text not null,
  added_at integer,
  follow text,
  asked text,
  accepted_at integer,
  agreed_at integer,
  lost_at integer,
  lost_why text,
  vouches_count_up_to integer not null default 0 check (vouches_count_up_to between 0 and 5),
  announce integer not null default 0 check (announce in (0, 1)),
  terms text,
  looked_at integer not null default 0
) strict;
create index handshake_application on handshake (application);

-- Keys of a peer's Application: as its document shows them (`seen`), and as an admin confirmed them (`pinned`).
create table peer_key (
  host_id integer not null references handshake (host_id) on delete cascade,
  state text not null check (state in ('seen', 'pinned')),
  kind text not null check (kind in ('rsa', 'ed25519', 'x25519')),
  uri text not null,
  public_key blob not null,
  since integer not null,
  primary key (host_id, state, uri)
) strict;

-- Heads of a peer's log of staff actions, as we saw them: it cannot cut its log without us noticing.
create table peer_head (
  host_id integer not null references host (id) on delete cascade,
  head text not null,
  seen_at integer not null,
  primary key (host_id, head)
) strict;

-- 1: the body is sealed once more, for its peer, when it leaves.
alter table outgoing add column confidential integer not null default 0 check (confidential in (0, 1));

-- Our word for somebody. It travels only inside what is addressed to one receiver; vouch_given says who has it.
create table vouch (
  id integer primary key,
  uri text not null unique,
  subject text not null,
  subject_key text not null,
  level integer not null check (level between 0 and 5),
  method text not null,
  state text not null check (state in ('issued', 'lowered', 'revoked', 'expired')),
  issued integer not null,
  expires integer not null,
  document text not null,
  changed_at integer not null
) strict;
create index vouch_subject on vouch (subject, state);
create index vouch_expires on vouch (state, expires);

create table vouch_given (
  vouch_id integer not null references vouch (id) on delete cascade,
  host_id integer not null references host (id) on delete cascade,
  given_at integer not null,
  primary key (vouch_id, host_id)
) strict;
create index vouch_given_host on vouch_given (host_id);

-- Somebody is looked at: whom and by whom rests sealed, found again by a keyed hash.
create table vetting (
  id integer primary key,
  subject_hash blob not null,
  state text not null check (state in ('open', 'proposed', 'vouched', 'refused')),
  sealed blob not null,
  created_at integer not null,
  changed_at integer not null
) strict;
create index vetting_subject on vetting (subject_hash);
create index vetting_state on vetting (state, id);

create table vetting_note (
  id integer primary key,
  vetting_id integer not null references vetting (id) on delete cascade,
  step text not null check (step in ('look', 'vettor', 'evaluation', 'sign-off')),
  sealed blob not null,
  created_at integer not null
) strict;
create index vetting_note_vetting on vetting_note (vetting_id, id);

-- What staff did, as a chain: hash = SHA-256(hash before, id, at, action, commitment). Who, about what and why lies in audit_detail, which may be shredded.
create table audit (
  id integer primary key,
  at integer not null,
  action text not null,
  commitment blob not null,
  hash blob not null
) strict;

create table audit_detail (
  audit_id integer primary key references audit (id) on delete cascade,
  sealed blob not null
) strict;
