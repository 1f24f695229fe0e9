#!/usr/bin/env bash
# An investigator's day, on the rendered market: catalog, scan, a closer look, decisions, the ring, a sealed case.
#   examples/investigator_day.sh [FOLDER]
set -euo pipefail
day=${1:-day}

# A market to work on: yours is photos/BRAND/ITEM/*.jpg and a table of listings. (Rendered here, a few minutes.)
[ -f "$day/listings.csv" ] || python -c "from pathlib import Path; from imgmatch.world.demo import write_demo; write_demo(Path('$day'))"

imgmatch weights pull mobilenet-v2
imgmatch catalog build "$day/catalog_source/manifest.jsonl" --out "$day/catalog" --encoder mobilenet-v2
imgmatch scan "$day/listings.csv" --posts "$day/posts.csv" --catalog "$day/catalog" --out "$day/scan"

# The first lead, in words; then the reviewer's decision about it.
lead=$(python -c "from imgmatch import Results; print(next(r.listing_id for r in Results('$day/scan') if r.decision == 'lead'))")
imgmatch explain "$lead" --records "$day/scan/records.jsonl"
imgmatch label "$lead" confirm --records "$day/scan/records.jsonl" --labels "$day/labels.csv" --reviewer ann

# Who belongs together, and a package about the largest ring that anybody can check.
imgmatch rings "$day/scan/records.jsonl" --out "$day/rings"
ring=$(python -c "import json; print(json.loads(open('$day/rings/rings.jsonl').readline())['ring_id'])")
imgmatch case "$ring" --records "$day/scan/records.jsonl" --rings "$day/rings/rings.jsonl" --out "$day/case.zip"
imgmatch case verify "$day/case.zip"
