# /// script
# dependencies = ["ImageHash==4.3.2", "numpy==2.2.6", "pillow==12.0.0"]
# ///
"""pHash of ImageHash: 64 bits. It publishes no threshold; imagededup's PHash matches at a distance of 10 by default."""

import json
import sys

import imagehash
import numpy as np
from PIL import Image


def hashed(path):
    return imagehash.phash(Image.open(path)).hash.ravel()


def main(job, out):
    table = np.stack([hashed(path) for path in job["catalog"]])
    for path in job["queries"]:
        distance = (table ^ hashed(path)).sum(1)
        matches = [[job["catalog"][i], -int(distance[i])] for i in np.argsort(distance, kind="stable")[:6]]
        out.write(json.dumps({"query": path, "matches": matches}) + "\n")


if __name__ == "__main__":
    with open(sys.argv[1]) as job, open(sys.argv[2], "w") as out:
        main(json.load(job), out)
