"""Read weights for an export: trained letters, and the sound head of an exported model.

A file of letters (safetensors) has the parameters of `Encoder` under `encoder.` and those of
`SpeechHead` under `head.`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from wavrag.errors import InputError
from wavrag.train.mini.ctc import SpeechHead
from wavrag.train.mini.moonshine import Encoder
from wavrag.train.mini.sounds import SoundHead


def load_letters(path: Path) -> tuple[Encoder, SpeechHead]:
    """Load a trained encoder and its speech head.

    Raises:
        InputError: the file is missing, or has other parameters.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(f"{path} is missing: name a .safetensors file with an encoder and letters")
    encoder, head = Encoder(), SpeechHead()
    try:
        state = {name: value.float() for name, value in load_file(path).items()}
        for prefix, module in (("encoder.", encoder), ("head.", head)):
            parameters = {
                name.removeprefix(prefix): value
                for name, value in state.items()
                if name.startswith(prefix)
            }
            module.load_state_dict(parameters)
    except (RuntimeError, SafetensorError) as error:
        raise InputError(f"{path} has no encoder with letters: {error}") from error
    return encoder.eval(), head.eval()


def read_sound_head(model: Path) -> SoundHead:
    """Read the sound head of an exported model, with its 8-bit matrices as float32.

    A second export gives the same 8-bit matrices.

    Raises:
        InputError: the file is missing.
    """
    import onnx
    from onnx import numpy_helper

    if not model.is_file():
        raise InputError(f"{model} is missing: name an exported encoder.onnx")
    tensors = {
        tensor.name.removeprefix("sound."): numpy_helper.to_array(tensor)
        for tensor in onnx.load(str(model)).graph.initializer
        if tensor.name.startswith("sound.")
    }
    state = {}
    for name in SoundHead().state_dict():
        value = tensors.get(name)
        if value is None:
            # Quantisation is symmetric, so the zero point is 0.
            stem = f"{name}_Transposed"
            value = (tensors[f"{stem}_quantized"].astype(np.float32) * tensors[f"{stem}_scale"]).T
        state[name] = torch.tensor(value)
    head = SoundHead()
    head.load_state_dict(state)
    return head.eval()
