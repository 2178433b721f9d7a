"""What arrives: bound, verify, remember, understand, act."""
