"""Make the environments of the peers, or time them: ``python -m benchmarks.peers install`` or ``speed``."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.peers.environments import ADAPTERS, PeerError, install


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="make every environment")
    speed = commands.add_parser("speed", help="images/s of indexing one folder")
    speed.add_argument("what", nargs="?", choices=("run", "score"), help="both by default")
    speed.add_argument("--data", type=Path, required=True, help="folder of photos")
    speed.add_argument("--photos", type=int, default=256, help="photos in the larger folder")
    speed.add_argument("--rounds", type=int, default=3)
    speed.add_argument("--only", action="append", help="contenders by name, all by default")
    options = parser.parse_args()
    if options.command == "install":
        for peer in sorted(p.stem for p in ADAPTERS.glob("*.py") if p.stem != "__init__"):
            try:
                print(f"{peer}: {install(peer)}")
            except PeerError as error:
                print(f"{peer} cannot run here: {error}")
        return
    from benchmarks.peers import speed as timing

    if options.what != "score":
        timing.run(options.data, options.photos, options.rounds, options.only)
    if options.what != "run":
        timing.score()


if __name__ == "__main__":
    main()
