-- One-time identities: actors for a single request, offer or answer. Whose they are rests sealed; on a seized disk none is linked to a person or to another.

alter table actor add column one_time integer not null default 0;

-- closing: its listing closed, it takes no new contacts. leaving: its Deletes are on their way. The hour of the last change, nothing finer.
create table identity (
  actor_id integer primary key references actor (id) on delete cascade,
  state text not null check (state in ('active', 'closing', 'leaving')),
  sealed blob not null,
  changed_at integer not null
) strict;
create index identity_state on identity (state, actor_id);
