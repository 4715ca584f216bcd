"""The old question, until `rank` asks `shared.training.device`."""

from prectr.shared.training import device


def has_bf16() -> bool:
    """Whether bfloat16 pays on the device that is computed on."""
    return device.has_bf16(device.compute_device())
