"""Run suites, print the tables, fetch data sets.

    python -m benchmarks all --dataset rendered               # every suite on rendered goods: runs anywhere
    python -m benchmarks retrieval copies                     # some suites, on the sets they name
    python -m benchmarks retrieval --dataset sop=/data/Stanford_Online_Products --encoder clip-vit-b32
    python -m benchmarks table [--write]                      # README's rows and the table of docs, from the raw results
    python -m benchmarks stale                                # which rows are older than the code they speak of
    python -m benchmarks plots                                # of docs
    python -m benchmarks constants                            # numbers in the code that name no source
    python -m benchmarks datasets                             # what there are adapters for, with licence and protocol
    python -m benchmarks fetch NAME --to FOLDER               # from its owners' address, where it may be downloaded
    python -m benchmarks worlds [NAME ...]                    # render and scan synthetic markets: records for verdicts
    python -m benchmarks fit                                  # the calibration that ships, from the fit worlds' records

Raw results go to ``benchmarks/results/SUITE/DATA@ENCODER.jsonl.xz``; figures are computed from them alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from pathlib import Path
from types import ModuleType

from benchmarks.frame import job, raw
from benchmarks.frame.data import REPO, load, names

LABELLED = {"brands": "seller_reposts"}
"""Suites that read labels which only one set has."""


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = (
        f"suites ({', '.join(job.SUITES)}), all, table, stale, plots, constants, datasets, fetch NAME,\nworlds [NAME] or fit"
    )
    parser.add_argument("what", nargs="+", metavar="WHAT", help=what)
    parser.add_argument("--dataset", action="append", metavar="NAME[=FOLDER]", help="by default those that the suite names")
    parser.add_argument("--encoder", action="append", metavar="NAME", help=f"by default {job.ENCODER}")
    parser.add_argument("--limit", type=_count, help="most queries, chosen by hash; less of all else")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME", help="other tools to ask as well")
    parser.add_argument("--locked", action="store_true", help="the locked part: once a version, and written down")
    parser.add_argument("--smoke", action="store_true", help="a handful of photos, results thrown away")
    parser.add_argument("--traceback", action="store_true", help="where a suite fails, stop and show all of it")
    parser.add_argument("--results", type=Path, default=raw.RESULTS, help="folder of the raw results")
    parser.add_argument("--write", action="store_true", help="table: into README.md and docs/benchmarks.md")
    parser.add_argument("--to", type=Path, default=Path("data"), help="fetch: where to")
    options = parser.parse_args(arguments)
    first, *rest = options.what
    if first == "fetch" and not rest:
        parser.error("fetch needs the name of a data set: see python -m benchmarks datasets")
    if rest and first in ("all", "table", "stale", "plots", "constants", "datasets", "fit"):
        parser.error(f"{first} stands alone, got {' '.join(rest)}")
    if options.locked and (options.smoke or options.limit):
        parser.error("--locked is asked in full: it is opened once, so neither --smoke nor --limit goes with it")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    first, *rest = options.what
    if first == "datasets":
        for name, card in names().items():
            had = ", ".join(f"{f.url}{f' ({f.mib:,} MiB)' if f.mib else ''}" for f in card.files) or card.by_request
            published = (f"{p.who}: {p.metric} {p.value:.1%} ({p.source})" for p in card.published)
            more = (card.protocol, card.cite, card.url, had, *published)
            print(f"{name:24} {card.task:9} {card.title}; {card.licence}", *filter(None, more), sep=f"\n{'':24} ")
        return 0
    if first == "plots":
        return _plots(options.results)
    if first == "constants":
        from benchmarks.frame.constants import show

        return show()
    if first == "fetch":
        from benchmarks.frame.fetch import fetch

        return max((fetch(name, options.to) for name in rest), default=0)
    if first == "worlds":
        from benchmarks import worlds

        return worlds.run(rest)
    if first == "fit":
        from benchmarks.verdicts import fit_default

        return fit_default()
    if first in ("table", "stale"):
        from benchmarks.frame import table

        try:
            return table.stale(options.results) if first == "stale" else table.show(options.results, write=options.write)
        except ValueError as error:
            print(error, file=sys.stderr)
            return 1
    if options.smoke:
        with tempfile.TemporaryDirectory(prefix="imgmatch-bench-") as folder:
            options.results = Path(folder)
            return _run(options)
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    """Run suites; one that fails loses only its own rows. Return 1 if one did."""
    from imgmatch import ImgmatchError, __version__

    try:  # a misspelt name is told before the suites before it have run
        wanted = {name: job.suite(name) for name in (job.SUITES if options.what == ["all"] else options.what)}
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    failed = 0
    for name, module in wanted.items():
        for spec in options.dataset or module.DATA:
            if options.dataset and options.what == ["all"] and spec.partition("=")[0] not in module.DATA:
                continue
            for encoder in options.encoder or (job.ENCODER,):
                start = _cpu()
                try:
                    _may_run(name, module, spec, encoder, locked=options.locked)
                    file = job.run(
                        name, spec, options.results, __version__, encoder_name=encoder, locked=options.locked,
                        limit=options.limit, smoke=options.smoke, peers=tuple(options.peer),
                    )  # fmt: skip
                except (FileNotFoundError, ValueError, PermissionError, ImgmatchError) as error:
                    print(f"{name}, {spec}: not run: {error}", flush=True)
                    failed += spec == "rendered" or options.dataset is not None
                    continue
                except Exception as error:
                    if options.traceback:
                        raise
                    print(f"{name}, {spec}: failed: {_where(error)}; --traceback shows all of it", flush=True)
                    failed += 1
                    continue
                head, rows = raw.read(file)
                if not rows:
                    file.unlink()  # a table of nothing
                    print(f"{name}, {spec}: nothing of it may be asked", flush=True)
                    continue
                kind, spent = raw.kind(head), _cpu() - start
                print(f"{name}, {head['data']} ({kind}), {encoder}: {len(rows)} rows, {spent:.0f} s of CPU", flush=True)
                for figure in module.score(rows, head):
                    more = "; ".join(filter(None, (figure.against, figure.target and f"target {figure.target}")))
                    print(f"  {kind}, {figure.what}: {figure.text()}{f' ({more})' if more else ''}", flush=True)
    return 1 if failed else 0


def _may_run(name: str, module: ModuleType, spec: str, encoder: str, *, locked: bool) -> None:
    """Raise ValueError where a suite cannot be asked of a set, before it draws anything or opens a locked part."""
    data = spec.partition("=")[0]
    if module.DATA == ("rendered",) and data != "rendered":
        raise ValueError(f"{name} draws its own input: on photos of {data} its figures would be called real")
    if name in LABELLED and data != LABELLED[name]:
        raise ValueError(f"{name} reads labels that only {LABELLED[name]} has")
    if locked:
        from imgmatch import load_encoder

        load_encoder(encoder)
        if not any(p.split == "locked" for p in load(spec).photos):
            raise ValueError(f"{data} has no locked part")


def _plots(results: Path) -> int:
    """Draw the plots, of the committed results into docs and of others beside them; return 1 where that cannot be."""
    from benchmarks.frame import plots

    try:
        drawn = plots.draw(results, *([] if results == raw.RESULTS else [results]))
    except ModuleNotFoundError as error:
        print(f"plots: {error.name} is not installed: pip install '.[bench]'", file=sys.stderr)
        return 1
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    if not drawn:
        print(f"{results} has no raw results of copies, marks_real or encoders to draw", file=sys.stderr)
        return 1
    print(*drawn, sep="\n")
    return 0


def _where(error: Exception) -> str:
    """Say what failed and where: the last line that is of this project."""
    mine = (REPO / "benchmarks", REPO / "imgmatch")
    every = traceback.extract_tb(error.__traceback__)
    frames = [f for f in every if any(Path(f.filename).is_relative_to(folder) for folder in mine)]
    place = f" ({Path(frames[-1].filename).relative_to(REPO)}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text}")
    return int(text)


def _cpu() -> float:
    """Processor seconds of this process and of those it has waited for."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    sys.exit(main())
