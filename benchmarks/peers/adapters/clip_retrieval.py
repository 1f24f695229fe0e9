# /// script
# dependencies = ["clip-retrieval==2.45.0", "torch==2.13.0", "torchvision==0.28.0", "setuptools==80.9.0"]
# ///
"""clip-retrieval's inference over a folder of files, image tower only. Its weights come from a model hub.

With random weights in their place, its speed can be measured and its accuracy cannot.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

if "+cpu" in torch.__version__ and "+cpu" not in version("torchvision"):
    # This torchvision was built for another torch and cannot declare its operators, which nothing here uses.
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from clip_retrieval.clip_inference.main import main as clip_inference


def index(job, out):
    clip_inference(
        job["folder"],
        job["work"],
        enable_text=False,
        clip_model=f"open_clip:{job['architecture']}/{job['weights']}",
        batch_size=32,  # its 256 is for a GPU; warming up with two batches of that size would be most of the time here
        num_prepro_workers=job["cores"],
    )
    parts = [np.load(p) for p in sorted(Path(job["work"], "img_emb").glob("*.npy"))]
    out.write(json.dumps({"photos": sum(map(len, parts))}) + "\n")


if __name__ == "__main__":
    with open(sys.argv[2]) as job, open(sys.argv[3], "w") as out:
        {"index": index}[sys.argv[1]](json.load(job), out)
