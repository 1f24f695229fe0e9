"""Make the environments of all peers: ``python -m benchmarks.peers``."""

from benchmarks.peers.environments import ADAPTERS, PeerError, install

for peer in sorted(p.stem for p in ADAPTERS.glob("*.py") if p.stem != "__init__"):
    try:
        print(f"{peer}: {install(peer)}")
    except PeerError as error:
        print(f"{peer} cannot run here: {error}")
