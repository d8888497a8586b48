"""Write `model.onnx` of WavRetriever-mini from a trained encoder with letters; print its parity.

    python tools/convert_letters.py LETTERS.safetensors OUT_DIR --data DATA_DIR
                                    [--sounds MODEL.onnx]

The first layers are those of the pretrained encoder, the sound head is that of MODEL.onnx (default:
the packaged one). The int8 file is compared with the float network on 100 clips of DATA_DIR.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from wavrag.embed import moonshine_folder
from wavrag.embed.wavretriever import WAVRETRIEVER_WEIGHTS
from wavrag.train.mini.convert import load_letters, read_sound_head
from wavrag.train.mini.export import SpeechNetwork, export_network, measure_parity
from wavrag.train.mini.moonshine import load_encoder
from wavrag.train.mini.recordings import read_parity_clips


def main(argv: Sequence[str] | None = None) -> None:
    """Convert, export and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("letters", type=Path, metavar="LETTERS.safetensors")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA_DIR")
    parser.add_argument(
        "--sounds",
        type=Path,
        default=WAVRETRIEVER_WEIGHTS / "model.onnx",
        metavar="MODEL.onnx",
        help="model with the sound head (default: the packaged one)",
    )
    arguments = parser.parse_args(argv)
    pretrained = load_encoder(moonshine_folder() / "encoder_model.ort")
    encoder, speech = load_letters(arguments.letters, pretrained)
    network = SpeechNetwork(encoder, speech, read_sound_head(arguments.sounds)).eval()
    arguments.out.mkdir(parents=True, exist_ok=True)
    model = arguments.out / "model.onnx"
    sizes = export_network(network, model)
    clips = read_parity_clips(arguments.data)
    print(json.dumps({**sizes, **measure_parity(network, model, clips)}))


if __name__ == "__main__":
    main()
