"""Who said it: questions over conversations made of clips of held-out speakers.

    python benchmarks/who_said.py DATA [--conversations 10] [--questions 10]

Each conversation has 2 to 4 speakers of one corpus (LibriSpeech, evaluation speakers with many
clips; speechocean762, adults of the split `test`) with complete clips. They are indexed with
`speakers=True` and the default embedder. Each speaker is named after the person with most of the
speech, as a user would do once per recording. A question is "Who said" with words of a line of 5
words or more, within its conversation; the answer is the speaker of the first hit. Right: the
name of the true speaker.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from conversations import Conversation, make_conversation, read_lines

from wavrag import Document, KnowledgeBase, Query
from wavrag.audio import SAMPLE_RATE
from wavrag.types import Clip

CORPORA = ("librispeech", "speechocean-test")
WORDS = 8  # of a line in a question, at most


def true_speaker(conversation: Conversation, start: float, end: float) -> str:
    """The speaker with most of the speech in a span."""
    frames = conversation.active[round(100 * start) : round(100 * end)].sum(0)
    return conversation.speakers[int(frames.argmax())]


def name_speakers(kb: KnowledgeBase, id: str, conversation: Conversation) -> None:
    """Name each speaker that was found after a true one."""
    seconds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for passage in kb.passages(id):
        if passage.speaker is not None and passage.start is not None and passage.end is not None:
            person = true_speaker(conversation, passage.start, passage.end)
            seconds[passage.speaker][person] += passage.end - passage.start
    for speaker, shares in seconds.items():
        kb.name_speaker(id, speaker, max(shares, key=lambda name: shares[name]))


def main() -> None:
    """Print the share of right answers by corpus."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with speech/ and sounds/")
    parser.add_argument("--conversations", type=int, default=10)
    parser.add_argument("--questions", type=int, default=10, help="of each conversation")
    arguments = parser.parse_args()
    right: dict[str, list[bool]] = {corpus: [] for corpus in CORPORA}
    chance: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        KnowledgeBase.open(Path(folder) / "kb", embedder="wavretriever") as kb,
    ):
        for number in range(arguments.conversations):
            corpus = CORPORA[number % len(CORPORA)]
            random = np.random.default_rng([number, 1])
            lines = read_lines(arguments.data, corpus)
            conversation = make_conversation(
                arguments.data, lines, 2 + number // 2 % 3, "clean", random, whole=True
            )
            id = f"conversation {number}"
            kb.add([Document(id, clip=Clip(conversation.samples, SAMPLE_RATE))], speakers=True)
            name_speakers(kb, id, conversation)
            turns = [turn for turn in conversation.turns if len(turn.line.text.split()) >= 5]
            for index in random.permutation(len(turns))[: arguments.questions]:
                line = turns[index].line
                words = " ".join(line.text.split()[:WORDS])
                hits = kb.search(Query(f"Who said {words}?", where=f"id = '{id}'"), 1)
                right[corpus].append(bool(hits) and hits[0].passage.speaker == line.speaker)
                chance.append(1 / len(conversation.speakers))
    for corpus, answers in right.items():
        print(f"{corpus:18} {sum(answers)} of {len(answers)}: {np.mean(answers):.3f}")
    answers = [answer for rows in right.values() for answer in rows]
    print(f"{'all':18} {sum(answers)} of {len(answers)}: {np.mean(answers):.3f}")
    print(f"{'a guess':18} {np.mean(chance):.3f}")


if __name__ == "__main__":
    main()
