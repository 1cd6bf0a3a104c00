"""The table of networks: id in the file -> definition. Ids are never reused; a change of formula is a new id."""

from inrcodec.networks.base import Network
from inrcodec.networks.msa import MSA
from inrcodec.networks.sasnet import SASNET
from inrcodec.networks.sasnet2 import SASNET_2
from inrcodec.networks.siren import SIREN

NETWORKS: dict[str, Network] = {"siren.1": SIREN, "msa.1": MSA, "sasnet.1": SASNET, "sasnet.2": SASNET_2}
