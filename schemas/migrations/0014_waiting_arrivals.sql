-- Whether anything of a server waits is asked for each of its posts.

create index arrival_waits on arrival (host_id) where state in ('waiting', 'unverified');
