-- The posts of this instance, newest first: what arrives is matched with these alone, and among all others they may be few.
create index post_local on post (id) where local = 1;
