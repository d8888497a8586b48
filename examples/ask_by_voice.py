"""Ask a question by voice and print the answer with its citations.

    python examples/ask_by_voice.py FOLDER --audio question.wav
    python examples/ask_by_voice.py FOLDER                      # records the microphone

FOLDER holds recordings and documents. They are indexed into FOLDER.kb first; files that have not
changed are skipped. Recording needs PortAudio (`apt-get install libportaudio2` on Linux).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from wavrag import Clip, WavRAG
from wavrag.audio import SAMPLE_RATE


def record(seconds: float) -> Clip:
    """Record the default microphone."""
    import sounddevice

    print(f"Speak now: recording {seconds:g} s …")
    samples = sounddevice.rec(
        int(seconds * SAMPLE_RATE), samplerate=SAMPLE_RATE, channels=1, dtype="float32"
    )
    sounddevice.wait()
    return Clip(samples[:, 0], SAMPLE_RATE)


def main(arguments: list[str] | None = None) -> None:
    """Index, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="recordings and documents")
    parser.add_argument("--audio", type=Path, help="a recorded question (default: record one)")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of the recording (6)")
    args = parser.parse_args(arguments)

    with WavRAG.open(f"{args.folder}.kb") as rag:
        report = rag.add(args.folder)
        print(f"{len(report.added)} files added, {len(report.unchanged)} unchanged")
        answer = rag.ask(args.audio or record(args.seconds))
        print(f"Question: {answer.question}\n\n{answer.text}\n")
        for citation in answer.citations:
            passage = citation.passage
            print(f"[{citation.number}] {passage.source}  {citation.location}")


if __name__ == "__main__":
    main()
