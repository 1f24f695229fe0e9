"""Other tools on the same photos: each a small adapter, run in an environment of its own with exact versions.

    python -m benchmarks copies --peer pdq --peer phash      # on the very files that the suite asks about
    python -m benchmarks.peers                               # make all environments, under out/peers

A peer that cannot run here is named with the reason; nothing stands in for it.
"""
