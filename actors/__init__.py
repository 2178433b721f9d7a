"""Who is who: actors, keys, signatures, discovery, follows, hosts and trust, and the one door to other servers."""
