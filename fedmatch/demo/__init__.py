"""What does each server know of who helps whom? Three instances on this machine, real processes, and a stand-in for Mastodon, play three stories.

`make demo` runs it: it ends by itself, with exit code 0 if everything happened and everybody knows exactly what they should, and 1 if not.
"""
