"""The product: the board of requests and offers, its pages, its command line, and where everything is put together."""
