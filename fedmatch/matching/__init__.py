"""Which listings belong together? Pure functions: terms, scores, reasons."""
