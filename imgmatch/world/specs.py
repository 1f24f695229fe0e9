"""What describes an item, down to the parts that a forger would get wrong."""

from __future__ import annotations

from dataclasses import dataclass

from imgmatch.augment.textures import Colour
from imgmatch.world.brands import BrandDesign, Figure

__all__ = ["SILHOUETTES", "BagSpec", "ItemSpec", "WatchSpec"]

SILHOUETTES = ("tote", "satchel", "flap", "bowling", "bucket", "hobo")


@dataclass(frozen=True, slots=True)
class BagSpec:
    """One bag in one variant.

    Parameters
    ----------
    item_id, model, variant, name : str
    brand : BrandDesign
    silhouette : str
        One of :data:`SILHOUETTES`.
    width, height, depth : float
        In units.
    flare : float
        Width of the top relative to the base, minus 1.
    colour, trim : colour
        Of the body and of handles, base and straps.
    material : str
        Texture of the body: ``leather``, ``smooth``, ``canvas``, ``suede``, ``croc``.
    pattern : str
        ``plain``, ``monogram``, ``quilt`` or ``stripe``.
    period : float
        Of the pattern, in units.
    stitch : colour
    metal : str
        Key of METALS.
    clasp : str
        ``turnlock``, ``padlock``, ``bar``, ``ring`` or ``none``.
    carry : str
        ``handles``, ``top``, ``chain`` or ``belt``.
    logo : str
        ``plate`` (wordmark on a metal plate), ``patch`` (on leather), ``stamp`` (foil on the body), ``figure`` (metal
        mark) or ``combined`` (both marks on leather).
    logo_x, logo_y : float
        Middle of the logo: x in units, y as a share of the height from the base.
    logo_width : float
        In units.
    wordmark : str
        What the logo says.
    figure : Figure
        What its figurative mark is.
    """

    item_id: str
    brand: BrandDesign
    model: str
    variant: str
    name: str
    silhouette: str
    width: float
    height: float
    depth: float
    flare: float
    colour: Colour
    trim: Colour
    material: str
    pattern: str
    period: float
    stitch: Colour
    metal: str
    clasp: str
    carry: str
    logo: str
    logo_x: float
    logo_y: float
    logo_width: float
    wordmark: str
    figure: Figure
    category: str = "bag"


@dataclass(frozen=True, slots=True)
class WatchSpec:
    """One watch in one variant.

    Parameters
    ----------
    item_id, model, variant, name : str
    brand : BrandDesign
    case : str
        ``round``, ``cushion``, ``square`` or ``octagon``.
    metal : str
        Key of METALS.
    bezel : str
        ``smooth``, ``fluted``, ``diver`` (with a scale) or ``screws``.
    dial : colour
    finish : str
        ``plain``, ``sunray``, ``guilloche`` or ``stripes``.
    indices : str
        ``baton``, ``arabic``, ``roman``, ``dots`` or ``wedge``.
    hands : str
        ``baton``, ``dauphine``, ``sword`` or ``leaf``.
    accent : colour
        Of the second hand and the scale.
    subdials : int
        0, 2 or 3.
    date : bool
    strap : str
        ``bracelet``, ``mesh``, ``leather`` or ``rubber``.
    strap_colour : colour
    logo_y, logo_scale : float
        Height of the brand's name on the dial (negative is up), and its size, 1 as designed.
    logo_x : float
        Sideways; 0 as designed.
    wordmark : str
    figure : Figure
    swapped : tuple of int
        Two hours whose numerals changed places; () as designed.
    missing : tuple of int
        Hours whose index is not there; () as designed.
    crown : int
        1, or 3 with pushers.
    """

    item_id: str
    brand: BrandDesign
    model: str
    variant: str
    name: str
    case: str
    metal: str
    bezel: str
    dial: Colour
    finish: str
    indices: str
    hands: str
    accent: Colour
    subdials: int
    date: bool
    strap: str
    strap_colour: Colour
    wordmark: str
    figure: Figure
    logo_x: float = 0.0
    logo_y: float = -0.36
    logo_scale: float = 1.0
    swapped: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    crown: int = 1
    category: str = "watch"


ItemSpec = BagSpec | WatchSpec
