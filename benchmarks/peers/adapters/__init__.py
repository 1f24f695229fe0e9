"""One file per peer. Its head (PEP 723) pins what it needs; it is run as a script by the Python of its own environment.

    ADAPTER match JOB OUT    best references of every query, a JSON line each: {"query": path, "matches": [[path, score]]}
    ADAPTER index JOB OUT    embed a folder the way the peer's own command does; the caller times it

JOB is a JSON file. Scores: higher is nearer; a peer that abstains gives no matches. Adapters import nothing of imgmatch.
"""
