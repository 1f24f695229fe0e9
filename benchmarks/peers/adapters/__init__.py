"""One file per peer. Its head (PEP 723) pins what it needs; it is run as a script by the Python of its own environment.

    ADAPTER JOB OUT    best references of every query, a JSON line each: {"query": path, "matches": [[path, score]]}

JOB is a JSON file. Scores: higher is nearer; a peer that abstains gives no matches. Adapters import nothing of imgmatch.
"""
