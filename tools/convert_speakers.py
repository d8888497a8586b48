"""Export the GE2E speaker encoder of Resemblyzer, with a projection fitted here, to ONNX.

    pip download --no-deps --only-binary :all: resemblyzer==0.1.4 --dest SCRATCH
    python tools/convert_speakers.py SCRATCH/Resemblyzer-0.1.4-py3-none-any.whl DATA

The wheel (Apache-2.0) has the weights as a torch file. A linear discriminant analysis (LDA) of
windows of training speakers replaces its last activation, which cuts the errors on 1.6 s of speech
by a third. The graph converts mel spectrograms to unit vectors. Large matrices are stored as int8
with a scale per output. Prints the parity of the int8 weights, and the equal error rate (EER) of
pairs of windows of the training speakers that the LDA has not seen.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from wavrag.audio import SAMPLE_RATE
from wavrag.embed import SPAN_SAMPLES, SPEAKER_WEIGHTS, load_session, speaker_mels

# `benchmarks` is no package: its folder lies beside this one.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from conversations import Line, ambience, line_pieces, read_lines, rms

CHANNELS, HIDDEN, LAYERS, FRAMES, DIM = 40, 256, 3, 160, 64
SHRINKAGE = 0.2  # of the covariance within speakers, towards a multiple of the identity

# Lines per speaker of each training set, and seconds between windows.
CORPORA = {
    "librispeech_train": (1, 0.8), "speechocean-train": (8, 1.0), "children-train": (8, 1.0),
    "kokoro_train": (6, 1.0), "kathleen": (12, 1.0),
}  # fmt: skip
KOKORO_VOICES = 60
NOISY_SHARE, NOISE_DB = 0.4, (5.0, 20.0)


class SpeakerNetwork(nn.Module):
    """Three LSTM layers and a projection, as in Wan et al. (2018), arXiv 1710.10467."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(CHANNELS, HIDDEN, LAYERS, batch_first=True)
        self.linear = nn.Linear(HIDDEN, dim)

    def forward(self, mels: Tensor) -> Tensor:
        """Convert mels, shape = (batch, frames, 40), to unit vectors, shape = (batch, dim)."""
        vectors = self.project(mels)
        return vectors / vectors.norm(dim=1, keepdim=True)

    def project(self, mels: Tensor) -> Tensor:
        """Vectors before normalisation."""
        _, (hidden, _) = self.lstm(mels)
        return self.linear(hidden[-1])


def load_network(wheel: Path) -> SpeakerNetwork:
    """Load the published float32 weights from the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        data = io.BytesIO(archive.read("resemblyzer/pretrained.pt"))
    state = torch.load(data, map_location="cpu", weights_only=True)["model_state"]
    network = SpeakerNetwork(HIDDEN)
    # The file also has the two scalars of the training loss.
    network.load_state_dict({name: state[name] for name in network.state_dict()})
    return network.eval()


def export(network: SpeakerNetwork, variances: dict[str, object], target: Path) -> None:
    """Export the network with int8 matrices, and the variances as metadata."""
    mels = torch.zeros(2, FRAMES, CHANNELS)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        # Torch's older exporter writes a single node per LSTM layer; it warns of its age.
        warnings.simplefilter("ignore")
        plain = Path(scratch, "plain.onnx")
        torch.onnx.export(
            network, (mels,), str(plain), input_names=["mels"], output_names=["vectors"],
            dynamic_axes={"mels": {0: "batch", 1: "frames"}, "vectors": {0: "batch"}},
            opset_version=17, dynamo=False,
        )  # fmt: skip
        model = onnx.load(plain)
    quantise_matrices(model.graph)
    onnx.helper.set_model_props(model, {"variances": json.dumps(variances)})
    onnx.checker.check_model(model)
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, target)


def quantise_matrices(graph: onnx.GraphProto) -> None:
    """Replace matrices by int8 with a scale per output, and nodes that restore them in float.

    The products stay in float: with int8 activations in the LSTM, the mean cosine with the original
    falls to .70, because its inputs are not logarithmic and errors add up over 160 frames.
    """
    for matrix in list(graph.initializer):
        values = onnx.numpy_helper.to_array(matrix)
        if values.dtype != np.float32 or values.size < 50_000:
            continue
        axis = values.ndim - 2  # rows are outputs, in LSTM and in Gemm with transposed weights
        scales = np.abs(values).max(-1, keepdims=True).clip(1e-12) / 127
        tensors = {
            "int8": np.round(values / scales).astype(np.int8),
            "scale": scales.reshape(-1).astype(np.float32),
            "zero": np.zeros(scales.size, np.int8),
        }
        graph.initializer.remove(matrix)
        names = [f"{matrix.name}.{suffix}" for suffix in tensors]
        graph.initializer.extend(
            onnx.numpy_helper.from_array(array, name)
            for name, array in zip(names, tensors.values(), strict=True)
        )
        node = onnx.helper.make_node("DequantizeLinear", names, [matrix.name], axis=axis)
        graph.node.insert(0, node)


def training_windows(data: Path, network: SpeakerNetwork) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of windows of training speakers, some in noise, and the speaker of each."""
    random = np.random.default_rng(0)
    noises = [ambience(data, 40 * SAMPLE_RATE, random) for _ in range(12)]
    vectors, speakers = [], []
    for corpus, (count, step) in CORPORA.items():
        lines = read_lines(data, corpus)
        if corpus == "kokoro_train":  # one voice, not a mix of two, if it has many lines
            names = [name for name, own in lines.items() if len(own) >= count]
            lines = {name: lines[name] for name in names[:KOKORO_VOICES]}
        for name, own in lines.items():
            chosen = [own[i] for i in random.permutation(len(own))[:count]]
            mels = [
                speaker_mels(window)
                for line in chosen
                for window in line_windows(data, line, round(step * SAMPLE_RATE), noises, random)
            ]
            with torch.no_grad():
                vectors.append(network.project(torch.from_numpy(np.stack(mels))).numpy())
            speakers += [f"{corpus}:{name}"] * len(mels)
    return np.concatenate(vectors), np.array(speakers)


def line_windows(
    data: Path, line: Line, step: int, noises: list[np.ndarray], random: np.random.Generator
) -> list[np.ndarray]:
    """Windows of a line, some with noise."""
    windows = []
    for _, samples, _ in line_pieces(data, line, False):
        for start in range(0, max(1, len(samples) - SPAN_SAMPLES + 1), step):
            window = samples[start : start + SPAN_SAMPLES]
            if random.random() < NOISY_SHARE:
                noise = noises[random.integers(len(noises))]
                first = random.integers(len(noise) - len(window))
                noise = noise[first : first + len(window)]
                gain = rms(window) / rms(noise) / 10 ** (random.uniform(*NOISE_DB) / 20)
                window = window + noise * np.float32(gain)
            windows.append(window)
    return windows


def is_held_out(speaker: str) -> bool:
    """True for two of five training speakers: the thresholds of diarisation are chosen on them."""
    return zlib.crc32(speaker.encode()) % 5 < 2


def fit_projection(vectors: np.ndarray, speakers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear discriminant analysis.

    Returns:
        Mean, shape = (256,), and projection, shape = (256, `DIM`), after which the covariance
        within speakers is the identity.
    """
    _, labels, counts = np.unique(speakers, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(means, labels, vectors)
    means /= counts[:, None]
    residuals = vectors - means[labels]
    within = residuals.T @ residuals / len(vectors)
    scale = np.trace(within) / len(within)
    within = (1 - SHRINKAGE) * within + SHRINKAGE * scale * np.eye(len(within))
    whitening = np.linalg.cholesky(np.linalg.inv(within))
    between = np.cov((means @ whitening).T)
    _, directions = np.linalg.eigh(between)
    return vectors.mean(0), whitening @ directions[:, ::-1][:, :DIM]


def measure_variances(vectors: np.ndarray, speakers: np.ndarray) -> dict[str, object]:
    """Variances of unit vectors within speakers (mean over dimensions) and between their means."""
    _, labels, counts = np.unique(speakers, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(means, labels, vectors)
    means /= counts[:, None]
    within = (vectors - means[labels]).var(0)
    # The means have an error of their own.
    between = np.maximum(means.var(0) - within * (1 / counts).mean(), 1e-3 * within)
    return {"within": float(within.mean()), "between": [float(x) for x in between.round(7)]}


def add_projection(
    network: SpeakerNetwork, mean: np.ndarray, projection: np.ndarray
) -> SpeakerNetwork:
    """A network whose last layer includes the projection."""
    projected = SpeakerNetwork(DIM)
    projected.lstm = network.lstm
    matrix, shift = torch.tensor(projection), torch.tensor(mean)
    with torch.no_grad():
        projected.linear.weight.copy_(matrix.T @ network.linear.weight.double())
        projected.linear.bias.copy_(matrix.T @ (network.linear.bias.double() - shift))
    return projected.eval()


def equal_error_rate(vectors: np.ndarray, speakers: np.ndarray) -> float:
    """Error rate of a threshold on cosines where both kinds of error are equally frequent."""
    first, second = np.triu_indices(len(vectors), 1)
    cosines = (vectors @ vectors.T)[first, second]
    same = speakers[first] == speakers[second]
    accepted, rejected = np.sort(cosines[same]), np.sort(cosines[~same])
    misses = np.arange(len(accepted)) / len(accepted)
    alarms = 1 - np.searchsorted(rejected, accepted) / len(rejected)
    best = np.abs(misses - alarms).argmin()
    return round(float(misses[best] + alarms[best]) / 2, 3)


def measure_parity(network: SpeakerNetwork, target: Path) -> dict[str, float]:
    """Cosines between the vectors of the network and of the file, for noise of varied spectra."""
    random = np.random.default_rng(0)
    shape = random.gamma(0.5, 1.0, (64, 1, CHANNELS)) * random.gamma(1.0, 1.0, (64, FRAMES, 1))
    mels = (0.02 * shape).astype(np.float32)
    vectors = load_session(target).run(None, {"mels": mels})[0]
    with torch.no_grad():
        cosines = (vectors * network(torch.from_numpy(mels)).numpy()).sum(1)
    return {name: round(float(getattr(cosines, name)()), 5) for name in ("mean", "min")}


def unit(vectors: np.ndarray) -> np.ndarray:
    """Normalise rows."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main() -> None:
    """Fit the projection, export the file, and print figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, help="Resemblyzer-0.1.4-py3-none-any.whl")
    parser.add_argument("data", type=Path, help="folder with speech/ and sounds/")
    arguments = parser.parse_args()
    network = load_network(arguments.wheel)
    vectors, speakers = training_windows(arguments.data, network)
    held_out = np.array([is_held_out(speaker) for speaker in speakers])
    mean, projection = fit_projection(vectors[~held_out], speakers[~held_out])
    projected = add_projection(network, mean, projection)
    seen = unit((vectors[~held_out] - mean) @ projection)
    export(projected, measure_variances(seen, speakers[~held_out]), SPEAKER_WEIGHTS)
    rates = {}
    for corpus in CORPORA:
        rows = held_out & np.char.startswith(speakers, f"{corpus}:")
        if len(set(speakers[rows])) > 1:
            original, fitted = unit(np.maximum(vectors[rows], 0)), (vectors[rows] - mean)
            rates[corpus] = {
                "original": equal_error_rate(original, speakers[rows]),
                "projected": equal_error_rate(unit(fitted @ projection), speakers[rows]),
            }
    figures = {"parity": measure_parity(projected, SPEAKER_WEIGHTS), "eer_of_windows": rates}
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
