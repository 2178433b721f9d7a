"""What does it cost? One file a question; `make bench` runs them all, docs/performance.md says what came out."""
