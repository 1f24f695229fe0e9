# /// script
# requires-python = ">=3.11"
# dependencies = ["rclip==3.3.0"]
# ///
"""rclip: its command, on an empty database. It runs ViT-B-32-256 in onnxruntime; its weights come from a model hub.

With random weights in the place of its own, its speed can be measured and its accuracy cannot. It must be asked something to
build its index: one photo.
"""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path


def index(job, out):
    data = Path(job["work"])
    models = data / "ViT-B-32-256-datacomp_s34b_b86k"
    (data / "tokenizer").mkdir(parents=True)
    models.mkdir()
    (models / "visual.onnx").symlink_to(job["onnx"])
    for unused in (models / "textual.onnx", data / "tokenizer" / "bpe_simple_vocab_16e6.txt.gz"):
        unused.touch()  # asked for at the start, read for text queries only
    photo = next(p for p in sorted(Path(job["folder"]).rglob("*")) if p.is_file())
    command = [Path(sys.executable).with_name("rclip"), "--top", "1", str(photo)]
    subprocess.run(command, check=True, cwd=job["folder"], env={**os.environ, "RCLIP_DATADIR": str(data)}, stdout=2)
    with sqlite3.connect(data / "db.sqlite3") as database:
        [count] = database.execute("SELECT count(*) FROM images WHERE vector IS NOT NULL").fetchone()
    out.write(json.dumps({"photos": count}) + "\n")


if __name__ == "__main__":
    with open(sys.argv[2]) as job, open(sys.argv[3], "w") as out:
        {"index": index}[sys.argv[1]](json.load(job), out)
