"""Claim precision: the share of an answer's claims that its cited passages support.

After FActScore (Min et al., EMNLP 2023, arXiv 2305.14251): a language model splits the answer into
atomic claims and judges each of them, here against the cited passages alone and without a penalty
for short answers. The figure depends on the judge, so report the judge's name with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wavrag.errors import GenerationError
from wavrag.generate import GenerateOptions, Generator, Message, TextPart
from wavrag.types import Answer

SPLIT_PROMPT = """Break the text into independent facts. Each fact is one short sentence that can \
be understood by itself: replace pronouns by what they stand for. Add nothing that the text does \
not say. Write each fact on a line of its own that begins with "- ", and write nothing else.

Text: {text}"""

# The judge must compare the claim with the passages, not with its own knowledge of the world.
JUDGE_PROMPT = """Passages:

{passages}

Claim: {claim}

Do the passages say that the claim is true? Use the passages only, not what you know. Answer with \
one word: supported or unsupported."""

_MARKS = re.compile(r"\s*\[\d+\]")
# Models number or bullet their lists whatever the prompt says.
_BULLET = re.compile(r"^\s*(?:[-*\u2022]|\d+[.)])\s+(\S.*?)\s*$", re.MULTILINE)
# "unsupported" contains "supported": the optional first group tells them apart.
_VERDICT = re.compile(r"\b(un|not\s+)?supported\b", re.IGNORECASE)
SPLIT_TOKENS = 512  # maximum length of a list of claims
JUDGE_TOKENS = 32  # maximum length of a verdict: one word, with room for a short sentence


@dataclass(frozen=True, slots=True)
class Claim:
    """An atomic claim of an answer.

    Attributes:
        text: the claim.
        supported: verdict of the judge; None if its reply contains no clear verdict.
        reply: the judge's reply.
    """

    text: str
    supported: bool | None
    reply: str


@dataclass(frozen=True, slots=True)
class ClaimReport:
    """The claims of one answer with their verdicts.

    Attributes:
        claims: in the order of the answer.
        judge: name of the generator that judged them.
    """

    claims: tuple[Claim, ...]
    judge: str

    @property
    def precision(self) -> float | None:
        """Supported share of the claims with a verdict; None if no claim has one."""
        verdicts = [claim.supported for claim in self.claims if claim.supported is not None]
        return sum(verdicts) / len(verdicts) if verdicts else None


def judge_answer(
    answer: Answer, judge: Generator, options: GenerateOptions | None = None
) -> ClaimReport:
    """Split an answer into claims and judge each against the cited passages.

    All claims of an answer without citations are unsupported, and the judge only splits it. An
    abstention has no claims.

    Args:
        answer: for example from `WavRAG.ask`.
        judge: any generator that follows instructions, for example `openai:MODEL`.
        options: sampling options of the judge; the first request uses `options.seed` (0 if unset),
            and each claim the next seed.

    Raises:
        GenerationError: the judge cannot be reached, or its reply contains no claims.
    """
    text = " ".join(_MARKS.sub("", answer.text).split())
    if not answer.found or not text:
        return ClaimReport((), judge.spec.name)
    options = options or GenerateOptions()
    seed = options.seed or 0
    claims = split_claims(text, judge, replace(options, seed=seed))
    # Several citations may quote the same passage: the judge reads it once.
    passages = list(dict.fromkeys(citation.passage.text or "" for citation in answer.citations))
    if not any(passages):
        return ClaimReport(tuple(Claim(claim, False, "") for claim in claims), judge.spec.name)
    # A new seed for each claim: a run repeats exactly, but its verdicts are drawn independently.
    verdicts = [
        judge_claim(claim, passages, judge, replace(options, seed=seed + number))
        for number, claim in enumerate(claims, start=1)
    ]
    return ClaimReport(tuple(verdicts), judge.spec.name)


def split_claims(text: str, judge: Generator, options: GenerateOptions) -> list[str]:
    """Split a text into its atomic claims, without duplicates.

    Raises:
        GenerationError: the reply of the judge is not a list.
    """
    reply = _prompt(
        judge, SPLIT_PROMPT.format(text=text), replace(options, max_tokens=SPLIT_TOKENS)
    )
    claims = list(dict.fromkeys(_BULLET.findall(reply)))
    if not claims:
        raise GenerationError(
            f"the judge {judge.spec.name} wrote no list of claims but {reply[:120]!r}: use a model"
            " that follows instructions"
        )
    return claims


def judge_claim(
    claim: str, passages: Sequence[str], judge: Generator, options: GenerateOptions
) -> Claim:
    """Ask the judge whether passages support a claim."""
    sources = "\n".join(f"({number}) {text}" for number, text in enumerate(passages, start=1))
    prompt = JUDGE_PROMPT.format(passages=sources, claim=claim)
    reply = _prompt(judge, prompt, replace(options, max_tokens=JUDGE_TOKENS))
    return Claim(claim, parse_verdict(reply), reply)


def parse_verdict(reply: str) -> bool | None:
    """Read the verdict from a judge's reply; None if it states neither verdict, or both."""
    verdicts = {match[1] is None for match in _VERDICT.finditer(reply)}
    return verdicts.pop() if len(verdicts) == 1 else None


def _prompt(judge: Generator, prompt: str, options: GenerateOptions) -> str:
    return "".join(judge.stream([Message("user", (TextPart(prompt),))], options)).strip()
