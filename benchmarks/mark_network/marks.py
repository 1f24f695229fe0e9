"""Invented marks: an icon, a word, both, or an icon on a plate, and the many ways in which each is printed.

All shares, sizes and strengths in this file are guesses at what marks look like; nothing was tuned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from benchmarks.mark_network.bank import Bank

__all__ = ["CANVAS", "Dice", "Marks", "place", "wide"]

CANVAS = (96, 192)
"""Height and width in pixels of the canvas that a mark is drawn on."""

PLAIN, COLOURED, WORD, BESIDE, ABOVE, PLATE = range(6)
SHARES = (0.33, 0.25, 0.15, 0.10, 0.07, 0.10)
"""Of the kinds of marks: a plain or a coloured icon, a word, an icon beside a word or above it, an icon on a plate."""

HELD_OUT = 0.05
"""Share of icons and of words, the last of each list, that training never sees."""

_PLATE = 44.0  # half the height of a plate, in pixels of the canvas


@dataclass(frozen=True)
class Dice:
    """Random numbers, one for each of some scenes."""

    count: int
    device: torch.device

    def uniform(self, low: float, high: float) -> torch.Tensor:
        return torch.rand(self.count, device=self.device) * (high - low) + low

    def ratio(self, low: float, high: float) -> torch.Tensor:
        """Draw uniformly on a scale of ratios."""
        return torch.exp(self.uniform(math.log(low), math.log(high)))

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(self.count, *shape, device=self.device)

    def chance(self, share: float) -> torch.Tensor:
        return torch.rand(self.count, device=self.device) < share

    def number(self, most: int) -> torch.Tensor:
        return torch.randint(0, most, (self.count,), device=self.device)

    def colours(self) -> torch.Tensor:
        """Draw colours: strong ones, any, and greys that are mostly black or white."""
        any_colour = torch.rand(self.count, 3, device=self.device)
        which = torch.rand(self.count, device=self.device)
        strong = torch.rand(self.count, 3, device=self.device).round() * 0.8 + 0.1
        grey = torch.rand(self.count, 1, device=self.device)
        grey = torch.where(self.chance(0.6)[:, None], grey.round(), grey)
        colour = torch.where((which < 0.35)[:, None], strong, any_colour)
        return torch.where((which > 0.65)[:, None], grey.expand(-1, 3), colour)


def wide(values: torch.Tensor) -> torch.Tensor:
    """Return numbers, one a picture, so that they multiply pictures."""
    return values[:, None, None, None]


def place(
    pictures: torch.Tensor, x: torch.Tensor, y: torch.Tensor, scale: torch.Tensor, size: tuple[int, int]
) -> torch.Tensor:
    """Return canvases of a height and width on which pictures lie, each scaled, with its middle at (x, y)."""
    count, (height, width) = len(pictures), size
    rows = torch.arange(height, device=x.device) + 0.5
    columns = torch.arange(width, device=x.device) + 0.5
    across = (columns[None] - x[:, None]) / scale[:, None] / (pictures.shape[3] / 2)
    down = (rows[None] - y[:, None]) / scale[:, None] / (pictures.shape[2] / 2)
    grid = torch.stack([across[:, None].expand(count, *size), down[:, :, None].expand(count, *size)], dim=-1)
    return functional.grid_sample(pictures, grid, align_corners=False)


def _apart(colour: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return colours, or black or white where they are too near others to be seen on them."""
    near = (colour - other).abs().sum(1, keepdim=True) < 0.5
    return torch.where(near, (other.mean(1, keepdim=True) < 0.5).float().expand_as(colour), colour)


@dataclass(frozen=True)
class _Place:
    """Where drawings lie on the canvas: their middles, and pixels of the canvas a pixel of theirs."""

    x: torch.Tensor
    y: torch.Tensor
    scale: torch.Tensor

    @classmethod
    def middle(cls, dice: Dice) -> _Place:
        one = torch.ones(dice.count, device=dice.device)
        return cls(one * CANVAS[1] / 2, one * CANVAS[0] / 2, one)

    def where(self, chosen: torch.Tensor, other: _Place) -> _Place:
        """Return the other places where chosen, these elsewhere."""
        pairs = ((other.x, self.x), (other.y, self.y), (other.scale, self.scale))
        return _Place(*(torch.where(chosen, theirs, mine) for theirs, mine in pairs))

    def box(self, sizes: torch.Tensor) -> torch.Tensor:
        half = sizes * self.scale[:, None] / 2
        middle = torch.stack([self.x, self.y], dim=1)
        return torch.cat([middle - half, middle + half], dim=1)


def _beside(icon: torch.Tensor, word: torch.Tensor, dice: Dice) -> tuple[_Place, _Place]:
    """Place icons and words, of these widths and heights, side by side, the icon mostly on the left."""
    middle, scale = _Place.middle(dice), dice.uniform(0.45, 0.8)
    width = icon[:, 0] * scale
    lettering = dice.uniform(0.4, 1) * icon[:, 1] * scale / word[:, 1]
    lettering = torch.minimum((CANVAS[1] - 8 - width) / word[:, 0], lettering).clamp(0.15, 1.5)
    left = (CANVAS[1] - (width + 6 + word[:, 0] * lettering)) / 2
    icon_x, word_x = left + width / 2, left + width + 6 + word[:, 0] * lettering / 2
    swapped = dice.chance(0.15)
    icon_x, word_x = (torch.where(swapped, CANVAS[1] - x, x) for x in (icon_x, word_x))
    return _Place(icon_x, middle.y, scale), _Place(word_x, middle.y, lettering)


def _above(icon: torch.Tensor, word: torch.Tensor, dice: Dice) -> tuple[_Place, _Place]:
    """Place icons above words."""
    middle, scale = _Place.middle(dice), dice.uniform(0.5, 0.7)
    height = icon[:, 1] * scale
    lettering = dice.uniform(0.8, 1.6) * icon[:, 0] * scale / word[:, 0]
    lettering = torch.minimum((CANVAS[0] - 6 - height) / word[:, 1], lettering).clamp(0.12, 1.2)
    top = (CANVAS[0] - (height + 4 + word[:, 1] * lettering)) / 2
    word_y = top + height + 4 + word[:, 1] * lettering / 2
    return _Place(middle.x, top + height / 2, scale), _Place(middle.x, word_y, lettering)


def _plates(dice: Dice) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return plates, which of them are rings, and boxes: diamonds, ellipses, rounded boxes, nearly square ones."""
    height, width = CANVAS
    down = (torch.arange(height, device=dice.device) + 0.5 - height / 2)[None, :, None]
    across = (torch.arange(width, device=dice.device) + 0.5 - width / 2)[None, None, :]
    half = _PLATE * dice.uniform(0.8, 1.3)
    power = torch.tensor([1.0, 2.0, 4.0, 12.0], device=dice.device)[dice.number(4)][:, None, None]
    radius = (across.abs() / half[:, None, None]) ** power + (down.abs() / _PLATE) ** power
    plate, hole = ((((r - radius) * 20).clamp(0, 1))[:, None] for r in (1.0, 0.78))
    ring = dice.chance(0.35)
    flat = torch.full_like(half, height / 2)
    box = torch.stack([width / 2 - half, flat - _PLATE, width / 2 + half, flat + _PLATE], dim=1)
    return torch.where(wide(ring), plate - hole, plate), ring, box


class Marks:
    """Some marks: what is drawn, where on the canvas, and the colours that each mostly has.

    Parameters
    ----------
    bank : Bank
    count : int
    held_out : bool
        From the icons and words that training never sees, each as seldom as there are marks to make; else from the others.
    """

    def __init__(self, bank: Bank, count: int, held_out: bool = False) -> None:
        self.dice = dice = Dice(count, bank.device)
        plain, coloured, word = (self._pick(len(of), held_out) for of in (bank.icons, bank.coloured, bank.words))
        self.kind = torch.multinomial(torch.tensor(SHARES, device=bank.device), count, replacement=True)
        with_word = (self.kind == BESIDE) | (self.kind == ABOVE)
        self.in_colours = (self.kind == COLOURED) | (with_word & dice.chance(0.4))
        in_colours = wide(self.in_colours)

        colours = bank.coloured[coloured].float() / 255
        ink = torch.where(in_colours, colours[:, 3:], bank.icons[plain].float()[:, None] / 255)
        icons = torch.cat([torch.where(in_colours, colours[:, :3], 0.0), ink], dim=1)
        words = bank.words[word].float()[:, None] / 255
        icon_sizes = torch.where(self.in_colours[:, None], bank.coloured_sizes[coloured], bank.icon_sizes[plain])
        icon_place, word_place = self._layout(icon_sizes, bank.word_sizes[word])

        has_icon, has_word = self.kind != WORD, (self.kind == WORD) | with_word
        self.icon = place(icons, icon_place.x, icon_place.y, icon_place.scale, CANVAS) * wide(has_icon)
        self.word = place(words, word_place.x, word_place.y, word_place.scale, CANVAS) * wide(has_word)
        plates, rings, plate_boxes = _plates(dice)
        on_plate = self.kind == PLATE
        self.plate, self.ring = plates * wide(on_plate), rings & on_plate

        icon_boxes, word_boxes = icon_place.box(icon_sizes), word_place.box(bank.word_sizes[word])
        lower = torch.minimum(icon_boxes, word_boxes)[:, :2]
        upper = torch.maximum(icon_boxes, word_boxes)[:, 2:]
        boxes = torch.where(with_word[:, None], torch.cat([lower, upper], dim=1), icon_boxes)
        boxes = torch.where((self.kind == WORD)[:, None], word_boxes, boxes)
        self.box = torch.where(on_plate[:, None], plate_boxes, boxes)
        """Corners x0, y0, x1, y1 of what is drawn, in pixels of the canvas."""

        colours_of = [dice.colours() for _ in range(4)]  # icon, word, plate and ground
        colours_of[1] = torch.where(dice.chance(0.5)[:, None], colours_of[0], colours_of[1])
        self.colours = torch.stack(colours_of, dim=1)

    def __len__(self) -> int:
        return self.dice.count

    def _pick(self, most: int, held_out: bool) -> torch.Tensor:
        known = int(most * (1 - HELD_OUT))
        if not held_out:
            return self.dice.number(known)
        others = torch.randperm(most - known, device=self.dice.device)
        return known + others[torch.arange(self.dice.count, device=self.dice.device) % len(others)]

    def _layout(self, icon: torch.Tensor, word: torch.Tensor) -> tuple[_Place, _Place]:
        middle = _Place.middle(self.dice)
        small = _Place(middle.x, middle.y, self.dice.uniform(0.45, 0.7))
        icon_place, word_place = middle.where(self.kind == PLATE, small), middle
        for kind, lay in ((BESIDE, _beside), (ABOVE, _above)):
            icons, words = lay(icon, word, self.dice)
            icon_place = icon_place.where(self.kind == kind, icons)
            word_place = word_place.where(self.kind == kind, words)
        return icon_place, word_place

    def printed(self, which: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Print marks anew, in their own or in other colours.

        Parameters
        ----------
        which : torch.Tensor, shape (n,)
            Numbers of marks.

        Returns
        -------
        torch.Tensor, shape (n, 4, 96, 192)
            RGBA, the colours multiplied by the opacity.
        torch.Tensor, shape (n, 3)
            The colour of the ground that each belongs on.
        """
        dice = Dice(len(which), which.device)
        on_plate = (self.kind[which] == PLATE) & ~self.ring[which]
        of_icon, of_word, of_plate, of_ground = self._coloured(which, dice)
        of_ground = _apart(of_ground, of_icon)
        of_icon = torch.where(on_plate[:, None], _apart(of_icon, of_plate), of_icon)

        icon, word, in_colours = self.icon[which], self.word[which], self.in_colours[which]
        # Divided by an opacity that the colours were not multiplied with: rims of coloured icons come out lighter than
        # drawn. The shipped weights were trained so.
        own = icon[:, :3] / icon[:, 3:].clamp(min=1e-3)
        shown = torch.where(wide(in_colours), own, of_icon[:, :, None, None])
        shown = torch.where(wide(in_colours & dice.chance(0.2)), shown.mean(1, keepdim=True), shown)
        shown = torch.where(wide(in_colours & dice.chance(0.06)), 1 - shown, shown).clamp(0, 1)

        opacity = self.plate[which]
        picture = of_plate[:, :, None, None].expand(-1, -1, *CANVAS)
        for ink, colour in ((icon[:, 3:], shown), (word, of_word[:, :, None, None])):
            picture = picture * (1 - ink) + colour * ink
            opacity = opacity + ink * (1 - opacity)

        outlined = wide(dice.chance(0.07) & ~in_colours)
        rim = functional.max_pool2d(opacity, 5, 1, 2) + functional.max_pool2d(-opacity, 3, 1, 1)
        opacity = torch.where(outlined, rim.clamp(0, 1), opacity)
        embossed = wide(dice.chance(0.07) & ~in_colours)  # lit from one side, dark on the other
        relief = torch.roll(opacity, (2, 2), (2, 3)) - opacity
        picture = torch.where(embossed, (relief > 0).float(), picture)
        opacity = torch.where(embossed, relief.abs() * wide(dice.uniform(0.4, 1)), opacity)
        return torch.cat([picture * opacity, opacity], dim=1), of_ground

    def _coloured(self, which: torch.Tensor, dice: Dice) -> tuple[torch.Tensor, ...]:
        """Return colours of icon, word, plate and ground: the mark's own, others, or dark on light and light on dark."""
        others = torch.stack([dice.colours() for _ in range(4)], dim=1)
        dark = dice.chance(0.5).float()[:, None]
        two = torch.stack([dark, dark, 1 - dark, 1 - dark], dim=1).expand(-1, -1, 3) * 0.9 + 0.05
        others = torch.where(dice.chance(0.5)[:, None, None], two, others)
        colours = torch.where(dice.chance(0.45)[:, None, None], others, self.colours[which])
        return (colours + 0.06 * torch.randn_like(colours)).clamp(0, 1).unbind(1)
