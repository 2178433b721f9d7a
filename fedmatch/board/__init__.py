"""The board: requests and offers, from draft to withdrawal."""
