"""Other tools on the same photos: each a small adapter, run in an environment of its own with exact versions.

    python -m benchmarks.peers install            # the environments, under out/peers
    python -m benchmarks.peers accuracy run       # every peer on the copy suite's queries and on adidas_products
    python -m benchmarks.peers accuracy score     # the tables
    python -m benchmarks.peers speed              # images/s of indexing one folder, same architecture, alternating

A peer that cannot run here is named with the reason; nothing stands in for it.
"""
