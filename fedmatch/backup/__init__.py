"""Copies that survive the disk: taken while the instance runs, sealed on their way out, and brought back without what was deleted since."""
