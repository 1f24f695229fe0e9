# /// script
# dependencies = ["pdqhash==0.2.7", "numpy==2.2.6", "pillow==12.0.0"]
# ///
"""PDQ (github.com/facebook/ThreatExchange, pdq): 256 bits; its authors match at a distance of 31 with quality 50 or more."""

import json
import sys

import numpy as np
import pdqhash
from PIL import Image

QUALITY = 50


def hashed(path):
    bits, quality = pdqhash.compute(np.asarray(Image.open(path).convert("RGB")))
    return np.asarray(bits, bool) if quality >= QUALITY else None


def main(job, out):
    known = [(path, bits) for path in job["catalog"] if (bits := hashed(path)) is not None]
    table = np.stack([bits for _, bits in known])
    for path in job["queries"]:
        bits, matches = hashed(path), []
        if bits is not None:
            distance = (table ^ bits).sum(1)
            matches = [[known[i][0], -int(distance[i])] for i in np.argsort(distance, kind="stable")[:6]]
        out.write(json.dumps({"query": path, "matches": matches}) + "\n")


if __name__ == "__main__":
    with open(sys.argv[1]) as job, open(sys.argv[2], "w") as out:
        main(json.load(job), out)
