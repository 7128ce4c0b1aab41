"""Pictures drawn for tests: bright squares, bars and crosses on dark ground."""

from __future__ import annotations

import pathlib

import numpy as np
from PIL import Image

CLASSES = ("bar", "cross", "square")


def picture(
    name: str, seed: int, height: int = 20, width: int = 24
) -> np.ndarray:
    """Returns uint8 colour pixels of one of `CLASSES`."""
    generator = np.random.RandomState(seed)
    pixels = generator.randint(0, 60, (height, width, 3))
    top, left = height // 4, width // 4
    rows, columns = slice(top, 3 * top), slice(left, 3 * left)
    bright = generator.randint(180, 256, 3)
    if name == "square":
        pixels[rows, columns] = bright
    else:
        pixels[rows, width // 2 - 2 : width // 2 + 2] = bright
    if name == "cross":
        pixels[height // 2 - 2 : height // 2 + 2, columns] = bright
    return pixels.astype(np.uint8)


def save(path: pathlib.Path, pixels: np.ndarray, **options) -> None:
    """Writes pixels as the kind of file that the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def folder(path: pathlib.Path, each: int = 5, first: int = 0) -> pathlib.Path:
    """Draws pictures of several sizes and kinds, a folder for each class."""
    for name in CLASSES:
        for number in range(first, first + each):
            pixels = picture(name, number, 20 + number % 3, 24 - number % 5)
            suffix = ("png", "jpg", "bmp", "gif")[number % 4]
            save(path / name / f"{number}.{suffix}", pixels)
    return path
