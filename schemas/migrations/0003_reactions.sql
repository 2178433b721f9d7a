-- What is said of what we hold: likes, emoji, votes, pins; who blocks whom; who moved. And one memory of what was said and taken back, in any order.

-- An activity that others may take back, by its id: `said` when it came, `undone` when its Undo came, so the order in which they come does not matter. `took`:
-- its Undo came for an id we did not know, and took down what stood. Of an Undo by bare id alone we know no kind.
create table said (
  actor_id integer not null references actor (id) on delete cascade,
  uri text not null,
  kind text not null check (kind in ('', 'Follow', 'Announce', 'Like', 'EmojiReact', 'Block')),
  object text not null,
  detail text not null default '',
  said integer not null default 0 check (said in (0, 1)),
  undone integer not null default 0 check (undone in (0, 1)),
  took integer not null default 0 check (took in (0, 1)),
  changed_at integer not null,
  primary key (actor_id, uri)
) strict;
create index said_about on said (actor_id, kind, object, detail);
create index said_changed on said (changed_at);

insert into said (actor_id, uri, kind, object, said, changed_at)
select follow.follower_id, follow.uri, 'Follow', followed.uri, 1, follow.changed_at
from follow
join actor as follower on follower.id = follow.follower_id
join actor as followed on followed.id = follow.followed_id
where follower.local = 0
  and followed.local = 1
  and follow.state in ('requested', 'accepted', 'rejected');

insert into said (actor_id, uri, kind, object, said, changed_at)
select post.actor_id, post.uri, 'Announce', boosted.uri, 1, post.received_at
from post
join post as boosted on boosted.id = post.boost_of
where post.local = 0;

drop table undone;

-- Who likes what now, ours and theirs: `emoji` is empty for a Like. `uri` is the activity of the latest. `icon` is where a custom emoji lies, never loaded.
create table reaction (
  id integer primary key,
  uri text not null unique,
  post_id integer not null references post (id) on delete cascade,
  actor_id integer not null references actor (id) on delete cascade,
  emoji text not null default '',
  icon text,
  created_at integer not null,
  unique (post_id, actor_id, emoji)
) strict;
create index reaction_actor on reaction (actor_id);

-- The numbers of a poll; its words stand with the text of its post, sealed where that is. `votes` is a JSON list, one number an option.
create table poll (
  post_id integer primary key references post (id) on delete cascade,
  multiple integer not null check (multiple in (0, 1)),
  ends_at integer,
  closed_at integer,
  voters integer,
  votes text not null
) strict;

-- A vote in a poll of ours. The voter is a keyed hash: who voted what is in no file.
create table poll_vote (
  post_id integer not null references poll (post_id) on delete cascade,
  voter blob not null,
  place integer not null,
  primary key (post_id, voter, place)
) strict;

-- What somebody, here or elsewhere, put on top of their profile.
create table pin (
  actor_id integer not null references actor (id) on delete cascade,
  post_id integer not null references post (id) on delete cascade,
  place integer not null,
  primary key (actor_id, post_id)
) strict;
create index pin_post on pin (post_id);

-- Of people here, and what others' servers told us of theirs.
create table block (
  actor_id integer not null references actor (id) on delete cascade,
  blocked_id integer not null references actor (id) on delete cascade,
  since integer not null,
  primary key (actor_id, blocked_id)
) strict;
create index block_blocked on block (blocked_id);

-- When an account last moved: once in seven days, whoever says so.
create table moved (
  actor_id integer primary key references actor (id) on delete cascade,
  target_id integer not null references actor (id) on delete cascade,
  moved_at integer not null
) strict;
create index moved_target on moved (target_id);
