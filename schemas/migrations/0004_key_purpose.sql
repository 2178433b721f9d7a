-- What a key is for, when something was signed, and who is silent at home.

-- Listed in `assertionMethod` (FEP-521a): may prove documents (FEP-8b32). Of others' keys we learn it when they are read again.
alter table actor_key add column proves integer not null default 0 check (proves in (0, 1));
update actor_key set proves = 1 where private_key is not null and algorithm = 'ed25519';

-- Its own server says `suspended: true` (Mastodon). Such an actor is `suspended` as well, but nothing of it is deleted, and its follows stay.
alter table actor add column withdrawn integer not null default 0 check (withdrawn in (0, 1));

-- When an activity was signed, first and last, and its Undo at the latest: milliseconds, null where no signature says so. Misskey uses one id for ever.
alter table said add column first_at integer;
alter table said add column last_at integer;
alter table said add column undone_at integer;
