"""Claim precision: of all that an answer claims, how much do the passages that it cites support.

After FActScore (Min et al., EMNLP 2023, arXiv 2305.14251): a model takes the answer apart into
atomic claims, and judges each of them. Here against the cited passages alone, and without a
penalty for short answers. A figure is only as good as its judge: name it beside the figure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wavrag.errors import GenerationError
from wavrag.generate import GenerateOptions, Generator, Message, TextPart
from wavrag.types import Answer

SPLIT = """Break the text into independent facts. Each fact is one short sentence that can be \
understood by itself: replace pronouns by what they stand for. Add nothing that the text does not \
say. Write each fact on a line of its own that begins with "- ", and write nothing else.

Text: {text}"""

JUDGE = """Passages:

{passages}

Claim: {claim}

Do the passages say that the claim is true? Use the passages only, not what you know. Answer with \
one word: supported or unsupported."""

_MARKS = re.compile(r"\s*\[\d+\]")
_BULLET = re.compile(r"^\s*(?:[-*\u2022]|\d+[.)])\s+(\S.*?)\s*$", re.MULTILINE)
_VERDICT = re.compile(r"\b(un|not\s+)?supported\b", re.IGNORECASE)
SPLIT_TOKENS, JUDGE_TOKENS = 512, 32  # longest answers of the judge


@dataclass(frozen=True, slots=True)
class Claim:
    """One atomic claim of an answer.

    Attributes:
        text: the claim.
        supported: the judge's verdict; None where it gave none that can be read.
        said: what the judge wrote.
    """

    text: str
    supported: bool | None
    said: str


@dataclass(frozen=True, slots=True)
class Judged:
    """The claims of one answer.

    Attributes:
        claims: in the order of the answer.
        judge: name of the generator that judged.
    """

    claims: tuple[Claim, ...]
    judge: str

    @property
    def unjudged(self) -> int:
        """Claims without a verdict; they are in no figure."""
        return sum(claim.supported is None for claim in self.claims)

    @property
    def precision(self) -> float | None:
        """Share of the judged claims that are supported; None where none was judged."""
        judged = [claim.supported for claim in self.claims if claim.supported is not None]
        return sum(judged) / len(judged) if judged else None


def judge_answer(
    answer: Answer, judge: Generator, options: GenerateOptions | None = None
) -> Judged:
    """Take an answer apart and judge each claim against the passages that it cites.

    An answer that cites nothing has claims and no support: each counts as unsupported, and the
    judge is not asked. An answer that was not given has no claims.

    Args:
        answer: as `WavRAG.ask` gives it.
        judge: any generator that follows instructions, such as `openai:MODEL`.
        options: how it writes; the first request has the seed of it (0 if it has none), and each
            claim the next.

    Raises:
        GenerationError: the judge cannot be reached, or found no claim in the answer.
    """
    text = " ".join(_MARKS.sub("", answer.text).split())
    if not answer.found or not text:
        return Judged((), judge.name)
    options = options or GenerateOptions()
    seed = options.seed or 0
    claims = split_claims(text, judge, replace(options, seed=seed))
    passages = list(dict.fromkeys(one.passage.text or "" for one in answer.citations))
    if not any(passages):
        return Judged(tuple(Claim(claim, False, "") for claim in claims), judge.name)
    judged = [
        judge_claim(claim, passages, judge, replace(options, seed=seed + number))
        for number, claim in enumerate(claims, start=1)
    ]
    return Judged(tuple(judged), judge.name)


def split_claims(text: str, judge: Generator, options: GenerateOptions) -> list[str]:
    """The atomic claims of a text, each once.

    Raises:
        GenerationError: the judge wrote no list.
    """
    said = _ask(judge, SPLIT.format(text=text), replace(options, max_tokens=SPLIT_TOKENS))
    claims = list(dict.fromkeys(_BULLET.findall(said)))
    if not claims:
        raise GenerationError(
            f"the judge {judge.name} wrote no list of claims but {said[:120]!r}: use a model that"
            " follows instructions"
        )
    return claims


def judge_claim(
    claim: str, passages: Sequence[str], judge: Generator, options: GenerateOptions
) -> Claim:
    """Whether passages support a claim, as the judge says."""
    numbered = "\n".join(f"({number}) {text}" for number, text in enumerate(passages, start=1))
    prompt = JUDGE.format(passages=numbered, claim=claim)
    said = _ask(judge, prompt, replace(options, max_tokens=JUDGE_TOKENS))
    return Claim(claim, verdict(said), said)


def verdict(said: str) -> bool | None:
    """What a judge's words come to; None where they say neither, or both."""
    found = {match[1] is None for match in _VERDICT.finditer(said)}
    return found.pop() if len(found) == 1 else None


def _ask(judge: Generator, prompt: str, options: GenerateOptions) -> str:
    return "".join(judge.stream([Message("user", (TextPart(prompt),))], options)).strip()
