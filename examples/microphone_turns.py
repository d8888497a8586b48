"""Talk with a knowledge base: hits while you speak, an answer when you stop.

    python examples/microphone_turns.py my-kb                   # the microphone; Ctrl-C ends it
    python examples/microphone_turns.py my-kb --audio talk.wav  # a recording instead

The microphone needs PortAudio (`apt-get install libportaudio2` on Linux).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from wavrag import WavRAG
from wavrag.audio import SAMPLE_RATE, load
from wavrag.live import CompleteAnswer, Event, Hits, LiveOptions, LiveTurn, PartialHits
from wavrag.types import Float32

BLOCK = SAMPLE_RATE // 10  # 100 ms


def blocks(path: Path | None) -> Iterator[Float32]:
    """Blocks of a recording, or of the microphone without end."""
    if path is not None:
        samples = load(path).samples
        yield from (samples[at : at + BLOCK] for at in range(0, len(samples), BLOCK))
        return
    import sounddevice

    with sounddevice.InputStream(SAMPLE_RATE, BLOCK, channels=1, dtype="float32") as stream:
        while True:
            yield stream.read(BLOCK)[0][:, 0]


def show(event: Event) -> None:
    """Print the events that a listener wants to see."""
    if isinstance(event, PartialHits) and event.hits:
        print(f"  … {event.hits[0].passage.title}")
    elif isinstance(event, Hits):
        print(f"You asked: {event.words}")
    elif isinstance(event, CompleteAnswer):
        print(f"{event.answer.text}\n")


def main(arguments: list[str] | None = None) -> None:
    """Push sound, print events."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kb", help="folder of the knowledge base")
    parser.add_argument("--audio", type=Path, help="a recording (default: the microphone)")
    args = parser.parse_args(arguments)

    with WavRAG.open(args.kb, create=False) as rag, LiveTurn(rag, LiveOptions()) as turn:
        try:
            for block in blocks(args.audio):
                turn.push(block)
                for event in turn.take():
                    show(event)
        except KeyboardInterrupt:
            pass
        turn.finish()
        for event in turn.events():  # waits for the answer to the last turn
            show(event)


if __name__ == "__main__":
    main()
