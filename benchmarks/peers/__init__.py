"""Other tools on the same photos: each a small adapter, run in an environment of its own with exact versions.

    python -m benchmarks copies --peer pdq --peer phash     # on the very files that the suite asks about
    python -m benchmarks.peers install                      # all environments, under out/peers
    python -m benchmarks.peers speed --data FOLDER          # images/s of indexing one folder, alternating

A peer that cannot run here is named with the reason; nothing stands in for it.
"""
