-- Who of this instance follows a Service: a keyed hash of both, and nothing else. Their home asks with the same hash when it is read; no row of it names a post.
create table quiet_member (
  actor_id integer not null references actor (id) on delete cascade,
  mark text not null,
  primary key (actor_id, mark)
) strict;
