from imgmatch.catalog import Brand as Brand
from imgmatch.catalog import Catalog as Catalog
from imgmatch.catalog import Item as Item
from imgmatch.config import Config as Config
from imgmatch.encoders import load_encoder as load_encoder
from imgmatch.errors import ImgmatchError as ImgmatchError
from imgmatch.images import load_image as load_image
from imgmatch.matcher import Matcher as Matcher
from imgmatch.records import Listing as Listing
from imgmatch.records import ScanRecord as ScanRecord
from imgmatch.results import Results as Results
from imgmatch.scan import run_scan as run_scan
from imgmatch.scan import scan_listings as scan_listings
from imgmatch.signals import Signal as Signal
from imgmatch.signals import default_signals as default_signals
from imgmatch.types import Basis as Basis
from imgmatch.types import Candidate as Candidate
from imgmatch.types import Decision as Decision
from imgmatch.types import Finding as Finding
from imgmatch.types import Label as Label
from imgmatch.types import Verdict as Verdict
from imgmatch.world.sample import sample as sample

__version__: str
__all__: list[str]
