# /// script
# dependencies = ["imagededup==0.3.3.post2", "torch==2.13.0", "torchvision==0.28.0"]
# ///
"""imagededup's CNN class (cosine >= 0.9 is its default) with a model from this machine through its own `CustomModel`.

Its default model, torchvision's mobilenet_v3_small trained on ImageNet, is fetched from the network and cannot be had
without it. Accuracy is measured with mobilenet_v2 trained on ImageNet in its place, under imagededup's own preprocessing,
and every figure says so.
"""

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

if "+cpu" in torch.__version__ and "+cpu" not in version("torchvision"):
    # This torchvision was built for another torch and cannot declare its operators, which nothing here uses.
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from imagededup.methods import CNN
from imagededup.utils import CustomModel
from imagededup.utils.models import MobilenetV3


def mobilenet_v2(weights):
    import torchvision

    model = torchvision.models.mobilenet_v2()
    model.load_state_dict(torch.load(weights, weights_only=True))
    network = torch.nn.Sequential(model.features, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).eval()
    return CustomModel(name="mobilenet_v2", model=network, transform=MobilenetV3.transform)


def match(job, out):
    cnn = CNN(verbose=False, model_config=mobilenet_v2(job["mobilenet_v2"]))
    with tempfile.TemporaryDirectory() as folder:  # it encodes folders
        names = {}
        for number, path in enumerate([*job["catalog"], *job["queries"]]):
            name = f"{number:06d}{Path(path).suffix}"
            Path(folder, name).symlink_to(path)
            names[name] = number
        found = cnn.encode_images(folder)
    vectors = np.zeros((len(names), len(next(iter(found.values())))), np.float32)
    for name, vector in found.items():
        vectors[names[name]] = vector / np.linalg.norm(vector)
    references, asked = np.split(vectors, [len(job["catalog"])])
    for path, vector in zip(job["queries"], asked):  # noqa: B905
        similarity = references @ vector
        order = np.argsort(-similarity, kind="stable")[:6]
        matches = [[job["catalog"][i], float(similarity[i])] for i in order]
        out.write(json.dumps({"query": path, "matches": matches}) + "\n")


if __name__ == "__main__":
    with open(sys.argv[1]) as job, open(sys.argv[2], "w") as out:
        match(json.load(job), out)
