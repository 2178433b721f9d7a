"""How a request proves who sent it: one scheme a file."""
