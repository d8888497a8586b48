"""Speed and memory of decoding recordings to 16 kHz, compared with soundfile and soxr.

    pip install soundfile soxr
    python benchmarks/decode.py [--minutes 10] [--long-hours 3] [--json]

Prints hours of audio decoded per hour for each format, and the ratio of both decoders, which is
comparable between machines; times are the best of three runs. Then prints the speed of cutting at
pauses, and the peak resident memory of processes that decode and cut a long file and a minute.
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
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import corpus
import numpy as np

from wavrag import audio
from wavrag.audio import SAMPLE_RATE

CODECS = {".wav": "pcm_s16le", ".flac": "flac", ".mp3": "libmp3lame", ".opus": "libopus"}
ONLY_AV = {".m4a": "aac"}
FILE_RATE = 48_000  # Hz of the files, which have two channels
CUT = """
import resource, sys
from wavrag import audio
clips = sum(1 for _ in audio.windows(audio.stream(sys.argv[1])))
print(clips, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def encode(path: Path, pcm: np.ndarray, codec: str) -> None:
    """Write speech at 16 kHz as stereo at 48 kHz with equal channels."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FILE_RATE, layout="stereo")
        resampler = av.AudioResampler(format=stream.format, layout="stereo", rate=FILE_RATE)
        fifo = av.AudioFifo()
        size = stream.codec_context.frame_size or 4_096
        for start in range(0, len(pcm), SAMPLE_RATE):
            frame = av.AudioFrame.from_ndarray(
                pcm[None, start : start + SAMPLE_RATE], "s16", "mono"
            )
            frame.sample_rate = SAMPLE_RATE
            for chunk in resampler.resample(frame):
                chunk.pts = None
                fifo.write(chunk)
            while (chunk := fifo.read(size)) is not None:
                container.mux(stream.encode(chunk))
        container.mux(stream.encode(None))


def decode_with_wavrag(path: Path) -> int:
    """Decode with PyAV, and return the number of samples."""
    return sum(len(block) for block in audio.stream(path, SAMPLE_RATE))


def decode_with_soundfile(path: Path) -> int:
    """Decode with soundfile and soxr in blocks of a second; return the number of samples."""
    import soundfile
    import soxr

    count = 0
    with soundfile.SoundFile(path) as file:
        resampler = soxr.ResampleStream(file.samplerate, SAMPLE_RATE, 1, dtype="float32")
        for block in file.blocks(file.samplerate, dtype="float32", always_2d=True):
            count += len(resampler.resample_chunk(block.mean(axis=1)))
        count += len(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    return count


def best_time(decode: Callable[[Path], int], path: Path) -> float:
    """Measure the best of three runs, in seconds."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        decode(path)
        times.append(time.perf_counter() - started)
    return min(times)


def measure_speed(folder: Path, minutes: float) -> list[dict[str, Any]]:
    """Measure hours of audio decoded per hour, for each format."""
    speech = corpus.load_speech()
    pcm = np.resize(speech, round(minutes * 60 * SAMPLE_RATE))
    rows = []
    for suffix, codec in (CODECS | ONLY_AV).items():
        path = folder / f"speech{suffix}"
        encode(path, pcm, codec)
        row: dict[str, Any] = {
            "format": suffix,
            "wavrag": minutes * 60 / best_time(decode_with_wavrag, path),
        }
        if suffix in CODECS:
            row["soundfile"] = minutes * 60 / best_time(decode_with_soundfile, path)
            row["ratio"] = row["wavrag"] / row["soundfile"]
        rows.append(row)
    return rows


def measure_cutting(minutes: float) -> float:
    """Measure hours of audio cut into passages per hour."""
    samples = (
        np.resize(corpus.load_speech(), round(minutes * 60 * SAMPLE_RATE)).astype(np.float32)
        / 32_768
    )
    started = time.perf_counter()
    for _ in audio.windows([samples]):
        pass
    return minutes * 60 / (time.perf_counter() - started)


def measure_memory(folder: Path, seconds: float) -> float:
    """Measure the peak resident memory of decoding and cutting a file, in MB."""
    path = folder / "long.wav"
    corpus.write_long_recording(path, seconds)
    with wave.open(str(path)) as file:
        assert file.getnframes() == round(seconds * SAMPLE_RATE)
    process = subprocess.run(
        [sys.executable, "-c", CUT, str(path)], stdout=subprocess.PIPE, check=True, text=True
    )
    path.unlink()
    unit = 1 if sys.platform == "darwin" else 1_024
    return int(process.stdout.split()[1]) * unit / 1e6


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="minutes of audio in each format (default: 10)"
    )
    parser.add_argument(
        "--long-hours",
        type=float,
        default=3.0,
        help="hours of the long file; 0 skips it (default: 3)",
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures: dict[str, Any] = {
            "versions": {name: version(name) for name in ("av", "soundfile")},
            "cores": os.cpu_count(),
            "decoding": measure_speed(folder, arguments.minutes),
            "cutting": measure_cutting(arguments.minutes),
        }
        if arguments.long_hours:
            figures["peak_mb"] = {
                "a minute": measure_memory(folder, 60),
                f"{arguments.long_hours:g} hours": measure_memory(
                    folder, arguments.long_hours * 3_600
                ),
            }
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    print("decoding, hours of audio in an hour")
    print(f"  {'format':8} {'wavrag':>8} {'soundfile':>10} {'ratio':>6}")
    for row in figures["decoding"]:
        comparison = f"{row['soundfile']:10.0f} {row['ratio']:6.2f}" if "ratio" in row else ""
        print(f"  {row['format']:8} {row['wavrag']:8.0f} {comparison}")
    print(f"cutting at pauses, hours of audio in an hour: {figures['cutting']:.0f}")
    for length, megabytes in figures.get("peak_mb", {}).items():
        print(f"memory for {length}: {megabytes:.0f} MB")


if __name__ == "__main__":
    main()
