"""What we hold for others to read, and what leaves: posts, the one read rule, addressing, signing, delivery."""
