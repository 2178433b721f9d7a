"""The two engines behind one write shape, and the migrator."""
