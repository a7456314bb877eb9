"""Runs inside the demo's environment: real inference with the downloaded pair on a generated image.

usage: python infer.py CONFIG.py CHECKPOINT.pth
"""

import sys
import time

import numpy
from mmdet.apis import inference_detector, init_detector


def picture() -> numpy.ndarray:
    """A 320 x 320 BGR image: two boxes and a disc on a gradient."""
    rows, columns = numpy.mgrid[0:320, 0:320]
    image = numpy.stack([rows // 2, columns // 2, (rows + columns) // 4], axis=-1).astype(numpy.uint8)
    image[40:140, 60:160] = (30, 30, 220)
    image[180:300, 170:260] = (40, 200, 40)
    image[(rows - 90) ** 2 + (columns - 250) ** 2 < 45**2] = (230, 160, 20)
    return image


def main(config_file: str, checkpoint_file: str) -> None:
    model = init_detector(config_file, checkpoint_file, device="cpu")
    started = time.perf_counter()
    found = inference_detector(model, picture()).pred_instances
    seconds = time.perf_counter() - started
    best = float(found.scores.max()) if len(found) else 0.0
    sys.stdout.write(
        f"{type(model).__name__} on {next(model.parameters()).device}: {len(found)} boxes in {seconds:.2f} s, "
        f"best score {best:.4f}, boxes {tuple(found.bboxes.shape)}\n"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
