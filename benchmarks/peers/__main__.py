"""Run the peers; see the package's docstring."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.common import shared_data
from benchmarks.peers import __doc__ as description
from benchmarks.peers.environments import ADAPTERS, PeerError, install


def main() -> None:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="make every environment")
    accuracy = commands.add_parser("accuracy", help="copies and other views")
    accuracy.add_argument("what", choices=("run", "score"))
    accuracy.add_argument("--data")
    accuracy.add_argument("--only", action="append", help="peers by name, all by default")
    speed = commands.add_parser("speed", help="images/s of indexing one folder")
    speed.add_argument("what", nargs="?", choices=("run", "score"), help="both by default")
    speed.add_argument("--data")
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
    elif options.command == "accuracy":
        from benchmarks.peers import accuracy as suite

        suite.run(shared_data(options.data), options.only) if options.what == "run" else suite.score()
    else:
        from benchmarks.peers import speed as timing

        if options.what != "score":
            timing.run(Path(shared_data(options.data)), options.photos, options.rounds, options.only)
        if options.what != "run":
            timing.score()


if __name__ == "__main__":
    main()
