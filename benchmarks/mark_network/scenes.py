"""Random scenes with one mark each, made on the device that holds the bank.

All shares, sizes and strengths in this file are guesses at what photos do to marks; nothing was tuned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch.nn import functional

from benchmarks.mark_network.bank import Bank
from benchmarks.mark_network.marks import CANVAS, Dice, Marks, place, wide

__all__ = ["SIDE", "Placed", "View", "elsewhere", "jittered", "place_marks", "scenes"]

SIDE = 160
"""Pixels of a scene, both ways."""


@dataclass(frozen=True)
class View:
    """How marks are shown.

    Parameters
    ----------
    plain : float
        Share of scenes that look like a file of the mark: upright on one colour, without a camera's faults.
    smallest, largest : float
        Longer side of a mark in pixels.
    bent : float
        Share of the other scenes in which the mark is bent, as on a can or on cloth.
    """

    plain: float
    smallest: float = 24.0
    largest: float = 130.0
    bent: float = 0.35


@dataclass(frozen=True)
class Placed:
    """Marks as they lie in scenes.

    Parameters
    ----------
    layer : torch.Tensor, shape (n, 4, 160, 160)
        RGBA, the colours multiplied by the opacity.
    box : torch.Tensor, shape (n, 4)
        Corners x0, y0, x1, y1 around the mark before it is bent, in pixels of the scene.
    ground : torch.Tensor, shape (n, 3)
        The colour it belongs on.
    depth : torch.Tensor, shape (n, 160, 160)
        How far each pixel lies within a frame some way around the mark, in pixels of the canvas; outside it less than 0.
    """

    layer: torch.Tensor
    box: torch.Tensor
    ground: torch.Tensor
    depth: torch.Tensor


def scenes(bank: Bank, marks: Marks, others: Marks, view: View) -> tuple[torch.Tensor, torch.Tensor]:
    """Make a scene of each mark.

    Parameters
    ----------
    bank : Bank
    marks : Marks
    others : Marks
        Marks that may lie about in the scenes, below the one that counts.
    view : View

    Returns
    -------
    torch.Tensor, shape (n, 3, 160, 160)
        Pictures in [0, 1].
    torch.Tensor, shape (n, 4)
        Where the mark lies: corners x0, y0, x1, y1 in pixels. They may lie outside the picture.
    """
    dice = Dice(len(marks), bank.device)
    plain = dice.chance(view.plain)
    part = _parts(bank, dice)
    busy = _with_others(_with_stamps(_some_flat(part, dice), bank, dice), others, dice)
    paper = torch.where(dice.chance(0.6)[:, None], torch.ones(len(marks), 3, device=bank.device), dice.colours())
    picture = torch.where(wide(plain), paper[:, :, None, None], busy)
    placed = place_marks(marks, plain, view, dice)
    picture = _printed_on(picture, placed, plain, dice)
    light = functional.interpolate(
        torch.exp(dice.normal(1, 3, 3) * 0.28), size=(SIDE, SIDE), mode="bilinear", align_corners=True
    )
    picture = torch.where(wide(plain), picture, picture * light)
    picture = _covered(picture, placed.box, torch.roll(part, 1, 0), ~plain, dice)
    return _photographed(picture, plain, dice), placed.box


def _parts(bank: Bank, dice: Dice) -> torch.Tensor:
    """Draw parts of pictures."""
    chosen = bank.grounds[dice.number(len(bank.grounds))].float() / 255
    scale = dice.uniform(0.45, 1.5).clamp(min=0.9)
    part = place(chosen, dice.uniform(30, 130), dice.uniform(30, 130), scale, (SIDE, SIDE))
    return torch.where(wide(dice.chance(0.5)), part.flip(3), part)


def _some_flat(part: torch.Tensor, dice: Dice) -> torch.Tensor:
    """Put a colour that changes slowly in place of some parts of pictures."""
    slope = functional.interpolate(dice.normal(3, 2, 2) * 0.12, size=(SIDE, SIDE), mode="bilinear", align_corners=True)
    flat = (dice.colours()[:, :, None, None] + slope).clamp(0, 1)
    return torch.where(wide(dice.chance(0.15)), flat, part)


def _with_stamps(picture: torch.Tensor, bank: Bank, dice: Dice) -> torch.Tensor:
    """Lay a thing into every second scene."""
    chosen = bank.stamps[dice.number(len(bank.stamps))].float() / 255
    thing = place(chosen, dice.uniform(40, 120), dice.uniform(40, 120), dice.uniform(0.5, 1.3), (SIDE, SIDE))
    opacity = thing[:, 3:] * wide(dice.chance(0.5))
    return picture * (1 - opacity) + thing[:, :3] * opacity


def _with_others(picture: torch.Tensor, others: Marks, dice: Dice) -> torch.Tensor:
    """Lay up to two other marks into scenes."""
    for _ in range(2):
        which = dice.number(len(others))
        canvas, _ground = others.printed(which)
        box = others.box[which]
        scale = dice.ratio(20, 90) / _sides(box).amax(1)
        flat = torch.zeros(dice.count, 2, device=dice.device)
        x, y = dice.uniform(0, SIDE), dice.uniform(0, SIDE)
        turned = _turned(dice.normal() * 0.2, scale, scale, flat)
        layer, _ = _laid(canvas, _at(x, y) @ turned @ _from_middle(box), scale)
        layer = layer * wide(dice.chance(0.5))
        picture = picture * (1 - layer[:, 3:]) + layer[:, :3]
    return picture


def place_marks(marks: Marks, plain: torch.Tensor, view: View, dice: Dice) -> Placed:
    """Lay each mark into a scene: turned, stretched, tilted and bent a little, small or large."""
    canvas, ground = marks.printed(torch.arange(dice.count, device=dice.device))
    box, longer = marks.box, _sides(marks.box).amax(1)
    side = dice.ratio(view.smallest, view.largest)
    scale, stretch = side / longer, torch.exp(dice.normal() * 0.13).clamp(0.7, 1.4)
    angle = torch.where(dice.chance(0.1), dice.uniform(-0.8, 0.8), dice.normal() * 0.16)
    angle = torch.where(plain & dice.chance(0.8), 0.0, angle)
    tilt = torch.where(plain[:, None], 0.0, dice.normal(2) * 0.0022)
    margin = (side * 0.45).clamp(max=SIDE / 2)  # a large mark may stick out of the scene by a twentieth
    x, y = (margin + torch.rand_like(margin) * (SIDE - 2 * margin) for _ in range(2))
    turned = _turned(angle, scale * stretch.clamp(max=1), scale / stretch.clamp(min=1), tilt)
    lie = _at(x, y) @ turned @ _from_middle(box)
    # A wave along each axis, up to a twelfth of the mark.
    bend = (dice.normal(1, 1, 2) * 0.035).clamp(-0.08, 0.08) * wide(longer * (dice.chance(view.bent) & ~plain))
    layer, points = _laid(canvas, lie, scale, bend)

    corners = _through(lie, torch.stack([box[:, [0, 1]], box[:, [2, 1]], box[:, [2, 3]], box[:, [0, 3]]], dim=1))
    frame = (dice.uniform(0.06, 0.6) * _sides(box).amin(1))[:, None, None, None]
    above = points - box[:, None, None, :2] + frame
    below = box[:, None, None, 2:] + frame - points
    depth = torch.minimum(above, below).amin(3)
    return Placed(layer, torch.cat([corners.amin(1), corners.amax(1)], dim=1), ground, depth)


def _printed_on(picture: torch.Tensor, placed: Placed, plain: torch.Tensor, dice: Dice) -> torch.Tensor:
    """Lay marks over pictures: on a plate of the colour they belong on, if any, and never where they would vanish."""
    strength = torch.where(dice.chance(0.7), 1.0, dice.uniform(0.5, 1)) * (dice.chance(0.45) & ~plain)
    label = placed.depth.clamp(0, 1)[:, None] * wide(strength)
    picture = picture * (1 - label) + placed.ground[:, :, None, None] * label

    opacity = placed.layer[:, 3:]
    ink = opacity.sum((2, 3)).clamp(min=1)
    own, below = placed.layer[:, :3].sum((2, 3)) / ink, (picture * opacity).sum((2, 3)) / ink
    swallowed = ((own - below).abs().sum(1) < 0.35) & dice.chance(0.9)
    patch = (placed.depth + 3).clamp(0, 1)[:, None] * wide(swallowed)
    contrast = (own.mean(1, keepdim=True) < 0.5).float() * 0.9 + 0.05
    picture = picture * (1 - patch) + contrast[:, :, None, None] * patch

    faint = wide(torch.where(dice.chance(0.75) | plain, 1.0, dice.uniform(0.45, 1)))
    return picture * (1 - opacity * faint) + placed.layer[:, :3] * faint


def _covered(
    picture: torch.Tensor, box: torch.Tensor, cover: torch.Tensor, allowed: torch.Tensor, dice: Dice
) -> torch.Tensor:
    """Lay a part of another ground over one side of every fifth mark: up to a third of it."""
    share = torch.where(dice.chance(0.5), dice.uniform(0.15, 0.35), 0.3)[:, None]
    low, high = box[:, :2] + _sides(box) * share, box[:, 2:] - _sides(box) * share
    rows = torch.arange(SIDE, device=dice.device)[None, :, None] + 0.5
    columns = torch.arange(SIDE, device=dice.device)[None, None, :] + 0.5
    upright, first = dice.chance(0.5)[:, None, None], dice.chance(0.5)[:, None, None]
    along = torch.where(upright, columns, rows)
    start, end = (torch.where(upright[:, 0, 0], v[:, 0], v[:, 1])[:, None, None] for v in (low, high))
    hidden = torch.where(first, along < start, along > end) & (dice.chance(0.2) & allowed)[:, None, None]
    return torch.where(hidden[:, None], cover, picture)


def _photographed(picture: torch.Tensor, plain: torch.Tensor, dice: Dice) -> torch.Tensor:
    """Do to pictures what cameras, shops and networks do; some of it to plain ones, too."""
    gain = torch.exp(dice.normal(3) * 0.08 + dice.normal(1) * 0.2)[:, :, None, None]
    exposed = ((picture - 0.5) * wide(dice.uniform(0.6, 1.2)) + 0.5).clamp(0, 1) * gain
    picture = torch.where(wide(plain), picture, exposed).clamp(0, 1)
    picture = torch.where(wide(dice.chance(0.06)), picture.mean(1, keepdim=True), picture)
    for factor, share in ((0.5, 0.12), (0.7, 0.18)):
        which = dice.chance(share)
        if which.any():
            small = functional.interpolate(picture[which], scale_factor=factor, mode="bilinear", antialias=True)
            picture[which] = functional.interpolate(small, size=(SIDE, SIDE), mode="bicubic", align_corners=False).clamp(
                0, 1
            )
    shaken = dice.chance(0.12)
    if shaken.any():
        way = (1, 7) if torch.rand(()) < 0.5 else (7, 1)
        smear = torch.full((3, 1, *way), 1 / 7, device=dice.device)
        picture[shaken] = functional.conv2d(picture[shaken], smear, padding=(way[0] // 2, way[1] // 2), groups=3)
    picture = picture + torch.randn_like(picture) * wide(dice.uniform(0, 0.03))
    packed = dice.chance(0.6)
    if packed.any():
        picture[packed] = jpeg(picture[packed], Dice(int(packed.sum()), dice.device).ratio(2, 18))
    return picture.clamp(0, 1)


@cache
def _cosines(device: torch.device) -> torch.Tensor:
    """Return the discrete cosine transform of 8 numbers, as a matrix."""
    at = torch.arange(8.0)
    matrix = torch.cos((2 * at[None] + 1) * at[:, None] * math.pi / 16) * 0.5
    matrix[0] /= math.sqrt(2)
    return matrix.to(device)


def jpeg(pictures: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """Round pictures as JPEG does, each by a step for the mean of 8 x 8 pixels; the finer, the coarser: by a plain ramp."""
    transform, at = _cosines(pictures.device), torch.arange(8, device=pictures.device)
    count, channels, height, width = pictures.shape
    blocks = pictures.reshape(count, channels, height // 8, 8, width // 8, 8).permute(0, 1, 2, 4, 3, 5) * 255
    steps = (1 + (at[:, None] + at[None]) * 0.9) * step[:, None, None, None, None, None]
    rounded = torch.round(transform @ blocks @ transform.T / steps) * steps
    pixels = transform.T @ rounded @ transform / 255
    return pixels.permute(0, 1, 2, 4, 3, 5).reshape(pictures.shape)


def _sides(box: torch.Tensor) -> torch.Tensor:
    return box[:, 2:] - box[:, :2]


def _from_middle(box: torch.Tensor) -> torch.Tensor:
    """Return 3 x 3 matrices that move the middles of boxes to (0, 0)."""
    middle = (box[:, :2] + box[:, 2:]) / 2
    return _at(-middle[:, 0], -middle[:, 1])


def _at(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return 3 x 3 matrices that move (0, 0) to (x, y)."""
    moves = torch.eye(3, device=x.device).repeat(len(x), 1, 1)
    moves[:, 0, 2], moves[:, 1, 2] = x, y
    return moves


def _turned(angle: torch.Tensor, across: torch.Tensor, down: torch.Tensor, tilt: torch.Tensor) -> torch.Tensor:
    """Return 3 x 3 matrices that stretch, turn and tilt about (0, 0)."""
    cos, sin, zero, one = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle), torch.ones_like(angle)
    rows = [cos * across, -sin * down, zero, sin * across, cos * down, zero, tilt[:, 0], tilt[:, 1], one]
    return torch.stack(rows, dim=1).view(-1, 3, 3)


def _through(matrices: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Move points (n, k, 2) by 3 x 3 matrices."""
    moved = torch.cat([points, torch.ones_like(points[..., :1])], dim=-1) @ matrices.transpose(1, 2)
    return moved[..., :2] / moved[..., 2:].clamp(min=1e-3)


def _laid(
    canvas: torch.Tensor, lie: torch.Tensor, scale: torch.Tensor, bend: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return canvases as they lie in scenes, and the point of the canvas (n, 160, 160, 2) below each pixel.

    Each is taken from the halving of the canvas that is not much finer than the scene: else thin lines would flicker.
    """
    at = torch.arange(SIDE, device=canvas.device) + 0.5
    rows, columns = torch.meshgrid(at, at, indexing="ij")
    pixels = torch.stack([columns, rows], dim=-1).view(1, -1, 2).expand(len(canvas), -1, 2)
    points = _through(torch.linalg.inv(lie), pixels).view(-1, SIDE, SIDE, 2)
    if bend is not None:
        middle = torch.tensor([CANVAS[0] / 2, CANVAS[1] / 2], device=canvas.device)
        # Where the wave begins is as random as anything: another mark's bend.
        points = points + bend * torch.sin((points.flip(3) - middle) / 28 + bend.flip(0))
    grid = points / torch.tensor([CANVAS[1] / 2, CANVAS[0] / 2], device=canvas.device) - 1
    out = torch.zeros(len(canvas), canvas.shape[1], SIDE, SIDE, device=canvas.device)
    for low, high in ((0.7, math.inf), (0.35, 0.7), (0.0, 0.35)):
        which = (scale >= low) & (scale < high)
        if which.any():
            out[which] = functional.grid_sample(canvas[which], grid[which], align_corners=False)
        canvas = functional.avg_pool2d(canvas, 2)
    return out, points


def jittered(box: torch.Tensor) -> torch.Tensor:
    """Return windows that do not quite fit boxes: off by about a sixteenth, and mostly larger."""
    sides = _sides(box).repeat(1, 2)
    larger = Dice(len(box), box.device).uniform(-0.02, 0.12)[:, None] * torch.tensor([-1, -1, 1, 1], device=box.device)
    return box + (torch.randn_like(box) * 0.06 + larger) * sides


def elsewhere(box: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a window of each scene that shares little with its mark, and the overlap: intersection over union."""
    dice = Dice(len(box), box.device)
    side, stretch = dice.ratio(24, 100), torch.exp(dice.normal() * 0.4)
    sides = torch.stack([side * stretch.clamp(max=1), side / stretch.clamp(min=1)], dim=1)
    best, least = box, torch.full_like(side, math.inf)
    for _ in range(4):
        corner = torch.rand_like(sides) * (SIDE - sides).clamp(min=1)
        window = torch.cat([corner, corner + sides], dim=1)
        shared = (torch.minimum(window[:, 2:], box[:, 2:]) - torch.maximum(corner, box[:, :2])).clamp(min=0).prod(1)
        overlap = shared / (sides.prod(1) + _sides(box).prod(1) - shared)
        best = torch.where((overlap < least)[:, None], window, best)
        least = torch.minimum(overlap, least)
    return best, least
