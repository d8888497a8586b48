"""Write `letters.onnx` and `encoder.onnx` of WavRetriever from trained letters; print their parity.

    python tools/convert_letters.py LETTERS.safetensors OUT_DIR --data DATA_DIR
                                    [--sounds ENCODER.onnx]

The sound head is that of ENCODER.onnx (default: the packaged one). The 8-bit files are compared
with the float networks on 100 clips of DATA_DIR.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from wavrag.embed import ENCODER_FILE, WAVRETRIEVER_WEIGHTS
from wavrag.train.mini.convert import load_letters, read_sound_head
from wavrag.train.mini.export import LettersNetwork, SoundNetwork
from wavrag.train.mini.moonshine import load_encoder
from wavrag.train.mini.recipe import export_model


def main(argv: Sequence[str] | None = None) -> None:
    """Convert, export and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("letters", type=Path, metavar="LETTERS.safetensors")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA_DIR")
    parser.add_argument(
        "--sounds",
        type=Path,
        default=WAVRETRIEVER_WEIGHTS / ENCODER_FILE,
        metavar="ENCODER.onnx",
        help="model with the sound head (default: the packaged one)",
    )
    arguments = parser.parse_args(argv)
    pretrained = load_encoder()
    letters = LettersNetwork(*load_letters(arguments.letters))
    sound = SoundNetwork(pretrained, read_sound_head(arguments.sounds))
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(json.dumps(export_model(letters, sound, arguments.out, arguments.data)))


if __name__ == "__main__":
    main()
