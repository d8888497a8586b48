"""Cited seconds against known word times, in voices that no part of the embedder was trained on.

    python benchmarks/word_times.py --data DATA_DIR [--questions 100]

1. Sentences of one voice are joined to recordings of six, with pauses of .2 to 1 s, and indexed
   with the default embedder. A stand-in for a language model answers with the text of one sentence,
   until so many quotes begin and end with words of known times. Voices: LibriSpeech speakers and
   reserved voices of Kokoro. Word times are those of the forced alignment of pocketsphinx (extra
   `baseline`) with the reference text. Of Kokoro sentences with words that it does not know, the
   first sound and the last one are known.
2. Every word of LibriSpeech clips, aligned with the reference text, is compared with the forced
   alignment.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np

from wavrag import Document, KnowledgeBase, WavRAG
from wavrag.answer import AnswerOptions
from wavrag.audio import SAMPLE_RATE, load, write_wav
from wavrag.embed import WordAligner
from wavrag.generate import GenerateOptions, Generator, GeneratorSpec, Message
from wavrag.types import Citation, Clip, Float32

SETS = ("librispeech", "squad_eval_kokoro")
SENTENCES = 6  # in a recording
PAUSES = 0.2, 1.0  # seconds
SPEECH_LEVEL = 0.03  # of the loudest 10 ms: silence around a sentence is cut off
MIN_WORDS = 4
MAX_SHIFT = 4  # words
SLACK = 0.15  # seconds; a word counts as held if half of it is


@dataclass(frozen=True)
class Word:
    """A word of a recording; its times in seconds are NaN if unknown."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Sentence:
    """A sentence of a recording."""

    document: str
    voice: str
    text: str
    words: tuple[Word, ...]


class ForcedAligner:
    """Word times of a clip with known words, by pocketsphinx."""

    def __init__(self) -> None:
        from pocketsphinx import Decoder

        self._decoder = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", bestpath=False)

    def align(self, samples: Float32, words: Sequence[str]) -> list[Word] | None:
        """Return the words with their times; None if one is not in the dictionary."""
        decoder = self._decoder
        if any(decoder.lookup_word(word) is None for word in words):
            return None
        decoder.set_align_text(" ".join(words))
        decoder.start_utt()
        decoder.process_raw((samples * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        segments = [segment for segment in decoder.seg() or () if segment.word[0] not in "<["]
        if len(segments) != len(words):
            return None  # the search failed
        return [
            Word(word, segment.start_frame / 100, (segment.end_frame + 1) / 100)
            for word, segment in zip(words, segments, strict=True)
        ]


class Answerer(Generator):
    """Answers with a given text."""

    spec = GeneratorSpec("given text", follows_instructions=False)
    text = ""

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
        """Yield the text; it gets its marks afterwards."""
        yield self.text


def read_sentences(data: Path, name: str) -> dict[str, list[tuple[str, Float32]]]:
    """Texts and trimmed samples of a set by voice."""
    voices: dict[str, list[tuple[str, Float32]]] = defaultdict(list)
    for line in (data / "speech" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if len(row["text"].split()) < MIN_WORDS:
            continue
        samples = load(data / row["audio"], SAMPLE_RATE).samples
        blocks = samples[: len(samples) // 160 * 160].reshape(-1, 160)
        level = np.sqrt((blocks**2).mean(1))
        loud = np.flatnonzero(level > SPEECH_LEVEL * level.max())
        voices[row.get("speaker") or row["voice"]].append(
            (row["text"], samples[160 * loud[0] : 160 * (loud[-1] + 1)])
        )
    return voices


def write_recordings(
    data: Path, folder: Path, aligner: ForcedAligner, rng: random.Random
) -> list[Sentence]:
    """Join the sentences of every voice to recordings."""
    sentences = []
    for name in SETS:
        for voice, clips in read_sentences(data, name).items():
            rng.shuffle(clips)
            for number in range(0, len(clips), SENTENCES):
                path = folder / f"{name}-{voice}-{number}.wav"
                blocks, position = [], 0
                for text, samples in clips[number : number + SENTENCES]:
                    pause = np.zeros(round(rng.uniform(*PAUSES) * SAMPLE_RATE), np.float32)
                    offset = (position + len(pause)) / SAMPLE_RATE
                    words = list_words(text, samples, aligner, name)
                    shifted = (Word(w.text, w.start + offset, w.end + offset) for w in words)
                    sentences.append(Sentence(str(path), f"{name} {voice}", text, tuple(shifted)))
                    blocks += [pause, samples]
                    position += len(pause) + len(samples)
                write_wav(path, Clip(np.concatenate(blocks), SAMPLE_RATE))
    return sentences


def list_words(text: str, samples: Float32, aligner: ForcedAligner, name: str) -> list[Word]:
    """Words of a sentence with their times in its samples, as far as they are known."""
    spellings = split_words(text)
    words = aligner.align(samples, spellings)
    if words is None:
        words = [Word(spelling, np.nan, np.nan) for spelling in spellings]
        if name == "squad_eval_kokoro":  # synthetic speech has no noise around it
            words[0] = Word(spellings[0], 0.0, np.nan)
            words[-1] = Word(spellings[-1], np.nan, len(samples) / SAMPLE_RATE)
    return words


def known_times(quote: str, sentences: Sequence[Sentence]) -> tuple[float, float]:
    """True start and end of a quote; NaN if unknown."""
    reference = [(word, sentence) for sentence in sentences for word in sentence.words]
    words = split_words(quote)
    matcher = SequenceMatcher(None, [word.text for word, _ in reference], words, autojunk=False)
    blocks = [block for block in matcher.get_matching_blocks() if block.size]
    longest = max(blocks, key=lambda block: block.size, default=None)
    if longest is None:
        return np.nan, np.nan
    # Matches far from the diagonal are of common words elsewhere in the recording.
    shift = longest.a - longest.b
    blocks = [block for block in blocks if abs(block.a - block.b - shift) <= MAX_SHIFT]
    # Misheard words at either end count one by one, as far as the sentence goes ("E. N. R.").
    first, last = blocks[0].a, blocks[-1].a + blocks[-1].size - 1
    for _ in range(blocks[0].b):
        if first and reference[first - 1][1] is reference[first][1]:
            first -= 1
    for _ in range(len(words) - blocks[-1].b - blocks[-1].size):
        if last + 1 < len(reference) and reference[last + 1][1] is reference[last][1]:
            last += 1
    return reference[first][0].start, reference[last][0].end


def split_words(text: str) -> list[str]:
    """Words of a text in lower case."""
    return re.findall(r"[a-z0-9']+", text.lower())


def describe(errors: Sequence[float]) -> str:
    """Median, 95th percentile and share below 1 s."""
    values = np.abs(errors)
    return (
        f"median {np.median(values):.3f} s, 95 % below {np.percentile(values, 95):.2f} s,"
        f" {np.mean(values < 1):.1%} below 1 s"
    )


def print_quotes(quotes: Sequence[tuple[float, float, Citation]], label: str) -> None:
    """Print the errors of citations, which come with their true start and end."""
    starts = [citation.start - start for start, _, citation in quotes]
    ends = [citation.end - end for _, end, citation in quotes]
    held = [start <= SLACK and end >= -SLACK for start, end in zip(starts, ends, strict=True)]
    print(f"{label}: {len(quotes)} quotes; the span holds all words: {np.mean(held):.1%}")
    print(f"  start  {describe(starts)}\n  end    {describe(ends)}")
    for start, end, citation in quotes:
        if max(abs(citation.start - start), abs(citation.end - end)) > 1:
            print(f"  {start:.1f}-{end:.1f} s, cited {citation.location}: {citation.quote!r}")


def measure_citations(data: Path, folder: Path, count: int, aligner: ForcedAligner) -> None:
    """Ask about sentences of recordings, and compare the cited seconds with the true ones."""
    rng = random.Random(0)
    sentences = write_recordings(data, folder, aligner, rng)
    members = defaultdict(list)
    for sentence in sentences:
        members[sentence.document].append(sentence)
    quotes, uncited, unknown, milliseconds = defaultdict(list), 0, 0, []
    with KnowledgeBase.open(folder / "kb") as kb:
        kb.add([Document(path, path=path) for path in members])
        answerer = Answerer()
        rag = WavRAG(kb, answerer, AnswerOptions(min_probability=0.0))
        # Those of the human speakers first, up to half; there are fewer of them.
        order = sorted(rng.sample(sentences, len(sentences)), key=lambda s: s.voice.split()[0])
        for sentence in order:
            kind = sentence.voice.partition(" ")[0]
            limit = count // 2 if kind == SETS[0] else count - len(quotes[SETS[0]])
            if len(quotes[kind]) == limit:
                continue
            answerer.text = sentence.text
            answer = rag.ask(sentence.text, where=f"id = '{sentence.document}'")
            if not answer.citations or answer.citations[0].start is None:
                uncited += 1
                continue
            milliseconds.append(answer.timings["times"])
            citation = answer.citations[0]
            times = known_times(citation.quote, members[sentence.document])
            if np.isnan(times).any():
                unknown += 1
            else:
                quotes[kind].append((*times, citation))
    print(
        f"{len(members)} recordings; {uncited} answers without a quote, {unknown} quotes with"
        f" unknown times; finding the times takes {np.median(milliseconds):.0f} ms"
    )
    print_quotes([quote for name in SETS for quote in quotes[name]], "all")
    for name in SETS:
        print_quotes(quotes[name], name)


def measure_words(data: Path, forced: ForcedAligner) -> None:
    """Compare the times of all words with a forced alignment."""
    aligner, starts, ends, clips = WordAligner(), [], [], 0
    for line in (data / "speech/librispeech.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        clip = load(data / row["audio"], SAMPLE_RATE)
        truth = forced.align(clip.samples, row["text"].split())
        if truth is None:
            continue
        words = aligner.align(clip, row["text"])
        clips += 1
        starts += [word.start - true.start for word, true in zip(words, truth, strict=True)]
        ends += [word.end - true.end for word, true in zip(words, truth, strict=True)]
    print(f"{len(starts)} words of {clips} clips against forced alignment")
    print(f"  start  {describe(starts)}\n  end    {describe(ends)}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=100)
    arguments = parser.parse_args()
    aligner = ForcedAligner()
    with tempfile.TemporaryDirectory() as folder:
        measure_citations(arguments.data, Path(folder), arguments.questions, aligner)
    measure_words(arguments.data, aligner)


if __name__ == "__main__":
    main()
