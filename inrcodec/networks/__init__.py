"""The table of networks: id in the file -> definition. Ids are never reused; a change of formula is a new id."""

from inrcodec.networks.base import Network
from inrcodec.networks.ffn import FFN
from inrcodec.networks.finer import FINER
from inrcodec.networks.gauss import GAUSS
from inrcodec.networks.msa import MSA
from inrcodec.networks.msa_masked import MSA_MASKED
from inrcodec.networks.ngp import NGP
from inrcodec.networks.pemlp import PEMLP
from inrcodec.networks.rbf import RBF
from inrcodec.networks.sape import SAPE
from inrcodec.networks.sasnet import SASNET
from inrcodec.networks.sasnet2 import SASNET_2
from inrcodec.networks.sasnet_ablation import SASNET_ABLATION
from inrcodec.networks.sasnet_unmasked import SASNET_UNMASKED
from inrcodec.networks.siren import SIREN
from inrcodec.networks.staf import STAF
from inrcodec.networks.wire import WIRE

_OWN = (SIREN, MSA, SASNET, SASNET_2)
_COMPARED = (FFN, PEMLP, GAUSS, WIRE, FINER, STAF, SAPE, NGP, RBF, MSA_MASKED, SASNET_UNMASKED, SASNET_ABLATION)
NETWORKS: dict[str, Network] = {network.id: network for network in (*_OWN, *_COMPARED)}
