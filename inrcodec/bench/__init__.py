"""Rate and distortion of the codec beside other codecs, over folders of images or volumes."""

from inrcodec.bench.base import OURS
from inrcodec.bench.run import Outcome, rate_distortion

__all__ = ["OURS", "Outcome", "rate_distortion"]
