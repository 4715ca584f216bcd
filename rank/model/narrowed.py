"""A network whose matrices lie in bfloat16 already, for matrix products in bfloat16. [O]

Autocast casts them anew for every page: of a page of 100 candidates that is half of what the first layer takes.
"""

from copy import deepcopy

import torch
from torch import nn

from prectr.rank.model.ranker_model import RankerModel


def narrowed(model: RankerModel) -> RankerModel:
    """The same network, to be used under autocast: it computes what `model` does. The encoder is shared."""
    found = deepcopy(model, {id(model.encoder): model.encoder})
    for part in found.children():
        if part is not model.encoder:
            for module in part.modules():
                if isinstance(module, nn.Linear):
                    module.to(torch.bfloat16)
    return found
