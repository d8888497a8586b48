"""False silence and false answers of `wavrag.answer.estimate_answerability`; and its fit.

    python benchmarks/answerability.py --data ../shared/data [--plot FILE.png]
    python benchmarks/answerability.py --data ../shared/data --fit --spoken QUESTIONS.jsonl

A knowledge base has the paragraphs of `text/squad_dev_eval.jsonl` among
`text/wiki_passages.jsonl`; every third paragraph is a recording, spoken by flite. Every question
is asked twice: with all passages, and without those of its article, where the right answer is
silence. Questions are typed, about texts and about recordings, or spoken
(`speech/squad_eval_kokoro.jsonl`). For given shares of false answers, the program prints the shares
of false silence, beside those of a threshold of the best cosine and of the evidence of the best
sentence.

`--fit` uses the paragraphs of `text/squad_dev_train.jsonl`, other voices, and spoken questions from
a file with one JSON object per line: `audio` (relative to the file), `text`, `positive` (paragraph
id). It prints fitted weights, and the shares for every third article, which is left out of the fit.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from wavrag import Document, KnowledgeBase, Query
from wavrag.answer import MIN_PROBABILITY, answer_features, estimate_answerability
from wavrag.audio import load
from wavrag.data import read_rows
from wavrag.evaluate import fit_logistic
from wavrag.search import score_fusion
from wavrag.speech import write_answer
from wavrag.types import Hit

VOICES = {True: ("slt", "rms"), False: ("awb", "kal16")}  # of flite, for the fit or not
RECORDED = 3  # every third paragraph is a recording,
LONGEST = 900  # if it has at most so many characters
QUESTIONS = {"texts": 600, "recordings": 400, "spoken": 400}  # at most
HELD_OUT = 3  # every third article is left out of the fit
PROBABILITIES = (0.2, 0.3, 0.4, 0.5)
FALSE_ANSWERS = (0.05, 0.1, 0.15, 0.2, 0.3)
CANDIDATES = 20  # hits per question, as of an answer


class Example(NamedTuple):
    """A question with its hits, answerable or not."""

    kind: str  # texts, recordings or spoken
    article: str
    answerable: bool
    words: str | None
    hits: Sequence[Hit]
    mapped_hits: Sequence[Hit]  # as of an embedder with another scale of cosines


def build_documents(
    paragraphs: Sequence[Mapping[str, Any]], others: Path, folder: Path, voices: Sequence[str]
) -> tuple[list[Document], set[str]]:
    """Return the documents, and the ids of the recordings among them."""
    documents, recorded = [], set()
    for number, row in enumerate(tqdm(paragraphs, "speech")):
        metadata = {"article": row["title"]}
        if number % RECORDED == 0 and len(row["context"]) <= LONGEST:
            path = folder / f"{row['id']}.wav"
            voice = voices[number // RECORDED % len(voices)]
            write_answer(row["context"], path, engine="flite", voice=voice)
            recorded.add(row["id"])
            documents.append(Document(row["id"], path=str(path), metadata=metadata))
        else:
            title = row["title"].replace("_", " ")
            documents.append(
                Document(row["id"], text=row["context"], title=title, metadata=metadata)
            )
    for row in read_rows(others):
        metadata = {"article": row["title"]}
        documents.append(
            Document(row["id"], text=row["text"], title=row["title"], metadata=metadata)
        )
    return documents, recorded


def search(kb: KnowledgeBase, kind: str, article: str, query: Query) -> Iterator[Example]:
    """Ask a question with and without the passages of its article."""
    literal = article.replace("'", "''")
    for answerable in (True, False):
        where = None if answerable else f"article != '{literal}'"
        result = kb.retrieve(Query(query.text, query.clip, where), CANDIDATES)
        mapped = score_fusion(result.legs, kb.count(), calibrated=False)[:CANDIDATES]
        yield Example(kind, article, answerable, result.words, result.hits, mapped)


def collect(
    data: Path, paragraphs: Sequence[Mapping[str, Any]], spoken: Path, fit: bool
) -> list[Example]:
    """Index the documents and ask all questions."""
    choice = random.Random(1)
    articles = {row["id"]: row["title"] for row in paragraphs}
    with tempfile.TemporaryDirectory() as name, KnowledgeBase.open(Path(name) / "kb") as kb:
        documents, recorded = build_documents(
            paragraphs, data / "text" / "wiki_passages.jsonl", Path(name), VOICES[fit]
        )
        kb.add(documents)
        queries: list[tuple[str, str, Query]] = []
        for row in paragraphs:
            kind = "recordings" if row["id"] in recorded else "texts"
            queries += [(kind, row["title"], Query(text)) for text in row["questions"]]
        root = spoken.parent if fit else data
        for row in read_rows(spoken):
            if row["positive"] in articles:
                clip = load(str(root / row["audio"]))
                queries.append(("spoken", articles[row["positive"]], Query(clip=clip)))
        choice.shuffle(queries)
        selected = [
            query
            for kind, count in QUESTIONS.items()
            for query in [query for query in queries if query[0] == kind][:count]
        ]
        return [example for query in tqdm(selected, "questions") for example in search(kb, *query)]


def print_fit(examples: Sequence[Example], held_out: set[str]) -> None:
    """Print the weights, fitted without the articles held out."""
    training = [example for example in examples if example.article not in held_out]
    labels = np.array([example.answerable for example in training], float)
    for name, used in (("FITTED", "evidence"), ("UNCALIBRATED", "overlap")):
        rows = []
        for example in training:
            hits = example.hits if name == "FITTED" else example.mapped_hits
            features = answer_features(example.words, hits)
            rows.append((1.0, features.score, getattr(features, used)) if features else (1, -9, 0))
        bias, score, last = fit_logistic(np.array(rows), labels)
        print(f"{name}: bias {bias:.2f}, score {score:.3f}, {used} {last:.2f}")


def best_cosine(example: Example) -> float:
    """Cosine of the closest passage."""
    return max((hit.legs["dense"] for hit in example.hits if "dense" in hit.legs), default=-1.0)


def best_evidence(example: Example) -> float:
    """Evidence of the best sentence."""
    features = answer_features(example.words, example.hits)
    return features.evidence if features else 0.0


DECISIONS: Mapping[str, Callable[[Example], float]] = {
    "probability": lambda example: estimate_answerability(example.words, example.hits),
    "probability, any embedder": lambda example: estimate_answerability(
        example.words, example.mapped_hits, calibrated=False
    ),
    "evidence of the best sentence": best_evidence,
    "best cosine": best_cosine,
}


def false_silence(right: np.ndarray, wrong: np.ndarray, false_answers: float) -> float:
    """Share of answerable questions below the threshold with this share of false answers."""
    return float(np.mean(right < np.quantile(wrong, 1 - false_answers)))


def print_shares(examples: Sequence[Example], plot: Path | None) -> None:
    """Print the shares of false silence, of all kinds of questions and of each."""
    kinds = {"all": examples} | {
        kind: [example for example in examples if example.kind == kind] for kind in QUESTIONS
    }
    head = " | ".join(f"{share:.0%}" for share in FALSE_ANSWERS)
    print(f"| questions | decision by | {head} |\n|---|---|{'---|' * len(FALSE_ANSWERS)}")
    curves = {}
    for kind, chosen in kinds.items():
        labels = np.array([example.answerable for example in chosen])
        for name, decide in DECISIONS.items():
            values = np.array([decide(example) for example in chosen])
            right, wrong = values[labels], values[~labels]
            curves[kind, name] = right, wrong
            row = " | ".join(f"{false_silence(right, wrong, at):.3f}" for at in FALSE_ANSWERS)
            print(f"| {kind}, {len(right)} | {name} | {row} |")
    print("\n| minimum probability | questions | false silence | false answers | precision |")
    print("|---|---|---|---|---|")
    for minimum in sorted({*PROBABILITIES, MIN_PROBABILITY}):
        for kind in kinds:
            right, wrong = curves[kind, "probability"]
            silence, answers = np.mean(right < minimum), np.mean(wrong >= minimum)
            # With as many unanswerable questions as answerable ones.
            precision = (1 - silence) / max(1 - silence + answers, 1e-9)
            print(f"| {minimum} | {kind} | {silence:.3f} | {answers:.3f} | {precision:.3f} |")
    if plot is not None:
        draw(curves, list(kinds), plot)


def draw(
    curves: Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray]],
    kinds: Sequence[str],
    path: Path,
) -> None:
    """Plot false silence against false answers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(kinds), 4), layout="constrained")
    shares = np.linspace(0.01, 0.5, 100)
    for axes, kind in zip(figure.subplots(1, len(kinds), sharey=True), kinds, strict=True):
        for name in DECISIONS:
            right, wrong = curves[kind, name]
            axes.plot(shares, [false_silence(right, wrong, at) for at in shares], label=name)
        axes.set(title=kind, xlabel="false answers", ylim=(0, 0.5))
    figure.axes[0].set_ylabel("false silence")
    figure.axes[0].legend()
    figure.savefig(path)


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--fit", action="store_true", help="fit the weights on training questions")
    parser.add_argument("--spoken", type=Path, metavar="FILE.jsonl", help="for --fit")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    arguments = parser.parse_args()
    if arguments.fit != (arguments.spoken is not None):
        parser.error("--fit and --spoken belong together")
    name = "squad_dev_train" if arguments.fit else "squad_dev_eval"
    paragraphs = list(read_rows(arguments.data / "text" / f"{name}.jsonl"))
    spoken = arguments.spoken or arguments.data / "speech" / "squad_eval_kokoro.jsonl"
    examples = collect(arguments.data, paragraphs, spoken, arguments.fit)
    if arguments.fit:
        held_out = set(sorted({row["title"] for row in paragraphs})[::HELD_OUT])
        print_fit(examples, held_out)
        examples = [example for example in examples if example.article in held_out]
    print_shares(examples, arguments.plot)


if __name__ == "__main__":
    main()
