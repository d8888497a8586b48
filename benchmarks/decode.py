"""How fast recordings are decoded to 16 kHz, against soundfile with soxr, and in how much memory.

    pip install soundfile soxr
    python benchmarks/decode.py [--minutes 10] [--long-hours 3] [--json]

Each format that both read is decoded in blocks by both, in turn; times are the best of three runs,
and the ratio of the two is what to compare between machines. Memory is the largest resident set of
a process that decodes and cuts one long file, and of one that does so with a minute of it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import corpus
import numpy as np
import soundfile
import soxr

from wavrag import audio
from wavrag.audio import SAMPLE_RATE

CODECS = {".wav": "pcm_s16le", ".flac": "flac", ".mp3": "libmp3lame", ".opus": "libopus"}
ONLY_AV = {".m4a": "aac"}
GIVEN_RATE = 48_000  # Hz of the files, which have two channels
CUT = """
import resource, sys
from wavrag import audio
clips = sum(1 for _ in audio.windows(audio.stream(sys.argv[1])))
print(clips, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def encode(path: Path, pcm: np.ndarray, codec: str) -> None:
    """Write speech at 16 kHz as stereo at 48 kHz, both channels the same."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=GIVEN_RATE, layout="stereo")
        resampler = av.AudioResampler(format=stream.format, layout="stereo", rate=GIVEN_RATE)
        fifo = av.AudioFifo()
        size = stream.codec_context.frame_size or 4_096
        for at in range(0, len(pcm), SAMPLE_RATE):
            frame = av.AudioFrame.from_ndarray(pcm[None, at : at + SAMPLE_RATE], "s16", "mono")
            frame.sample_rate = SAMPLE_RATE
            for part in resampler.resample(frame):
                part.pts = None
                fifo.write(part)
            while (part := fifo.read(size)) is not None:
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def with_wavrag(path: Path) -> int:
    """Samples that PyAV gives."""
    return sum(len(block) for block in audio.stream(path, SAMPLE_RATE))


def with_soundfile(path: Path) -> int:
    """Samples that soundfile and soxr give, in blocks of a second."""
    count = 0
    with soundfile.SoundFile(path) as file:
        resampler = soxr.ResampleStream(file.samplerate, SAMPLE_RATE, 1, dtype="float32")
        for block in file.blocks(file.samplerate, dtype="float32", always_2d=True):
            count += len(resampler.resample_chunk(block.mean(axis=1)))
        count += len(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    return count


def fastest(decode: Callable[[Path], int], path: Path) -> float:
    """Seconds of the best of three runs."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        decode(path)
        times.append(time.perf_counter() - started)
    return min(times)


def speed(folder: Path, minutes: float) -> list[dict[str, Any]]:
    """Hours of audio decoded in an hour, for each format."""
    speech = corpus.speech()
    pcm = np.resize(speech, round(minutes * 60 * SAMPLE_RATE))
    rows = []
    for suffix, codec in (CODECS | ONLY_AV).items():
        path = folder / f"speech{suffix}"
        encode(path, pcm, codec)
        row: dict[str, Any] = {
            "format": suffix,
            "wavrag": minutes * 60 / fastest(with_wavrag, path),
        }
        if suffix in CODECS:
            row["soundfile"] = minutes * 60 / fastest(with_soundfile, path)
            row["ratio"] = row["wavrag"] / row["soundfile"]
        rows.append(row)
    return rows


def cutting(minutes: float) -> float:
    """Hours of audio cut into passages in an hour."""
    samples = (
        np.resize(corpus.speech(), round(minutes * 60 * SAMPLE_RATE)).astype(np.float32) / 32_768
    )
    started = time.perf_counter()
    for _ in audio.windows([samples]):
        pass
    return minutes * 60 / (time.perf_counter() - started)


def memory(folder: Path, seconds: float) -> float:
    """Largest resident set, in MB, of decoding and cutting a file of that length."""
    path = folder / "long.wav"
    corpus.long_recording(path, seconds)
    with wave.open(str(path)) as file:
        assert file.getnframes() == round(seconds * SAMPLE_RATE)
    done = subprocess.run(
        [sys.executable, "-c", CUT, str(path)], stdout=subprocess.PIPE, check=True, text=True
    )
    path.unlink()
    unit = 1 if sys.platform == "darwin" else 1_024
    return int(done.stdout.split()[1]) * unit / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="of audio in each format")
    parser.add_argument(
        "--long-hours", type=float, default=3.0, help="of one file for the memory; 0 leaves it out"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures: dict[str, Any] = {
            "versions": {"av": av.__version__, "soundfile": soundfile.__version__},
            "cores": os.cpu_count(),
            "decoding": speed(folder, arguments.minutes),
            "cutting": cutting(arguments.minutes),
        }
        if arguments.long_hours:
            figures["peak_mb"] = {
                "a minute": memory(folder, 60),
                f"{arguments.long_hours:g} hours": memory(folder, arguments.long_hours * 3_600),
            }
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    print("decoding, hours of audio in an hour")
    print(f"  {'format':8} {'wavrag':>8} {'soundfile':>10} {'ratio':>6}")
    for row in figures["decoding"]:
        other = f"{row['soundfile']:10.0f} {row['ratio']:6.2f}" if "ratio" in row else ""
        print(f"  {row['format']:8} {row['wavrag']:8.0f} {other}")
    print(f"cutting at pauses, hours of audio in an hour: {figures['cutting']:.0f}")
    for length, megabytes in figures.get("peak_mb", {}).items():
        print(f"memory for {length}: {megabytes:.0f} MB")


if __name__ == "__main__":
    main()
