"""Claim precision: the share of an answer's claims that its cited passages support.

After FActScore (Min et al., EMNLP 2023, arXiv 2305.14251): a language model splits the answer into
atomic claims and judges each of them, here against the cited passages alone and without a penalty
for short answers. The figure depends on the judge, so report the judge's name with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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

CITATION_MARKS = re.compile(r"\s*\[\d+\]")
# Models number or bullet their lists whatever the prompt says.
_BULLET = re.compile(r"^\s*(?:[-*\u2022]|\d+[.)])\s+(\S.*?)\s*$", re.MULTILINE)
# "unsupported" contains "supported": the optional first group tells them apart.
_VERDICT = re.compile(r"\b(un|not\s+)?supported\b", re.IGNORECASE)
SPLIT_TOKENS = 512  # maximum length of a list of claims
JUDGE_TOKENS = 32  # maximum length of a verdict: one word, with room for a short sentence


@dataclass(frozen=True, slots=True)
class Claim:
    """An atomic claim of an answer; `supported` is None without a clear verdict of the judge."""

    text: str
    supported: bool | None


@dataclass(frozen=True, slots=True)
class ClaimReport:
    """The claims of one answer, in its order, with their verdicts."""

    claims: tuple[Claim, ...]

    @property
    def precision(self) -> float | None:
        """Supported share of the claims with a verdict; None if no claim has one."""
        verdicts = [claim.supported for claim in self.claims if claim.supported is not None]
        return sum(verdicts) / len(verdicts) if verdicts else None


def judge_answer(answer: Answer, judge: Generator) -> ClaimReport:
    """Split an answer into claims and judge each against the cited passages.

    All claims of an answer without citations are unsupported, and the judge only splits it. An
    abstention has no claims.

    Args:
        answer: for example from `WavRAG.ask`.
        judge: any generator that follows instructions, for example `openai:MODEL`.

    Raises:
        GenerationError: the judge cannot be reached, or its reply contains no claims.
    """
    text = " ".join(CITATION_MARKS.sub("", answer.text).split())
    if not answer.found or not text:
        return ClaimReport(())
    claims = _split_claims(text, judge)
    # Several citations may quote the same passage: the judge reads it once.
    passages = list(dict.fromkeys(citation.passage.text or "" for citation in answer.citations))
    if not any(passages):
        return ClaimReport(tuple(Claim(claim, False) for claim in claims))
    sources = "\n".join(f"({number}) {text}" for number, text in enumerate(passages, start=1))
    verdicts = []
    # A new seed for each claim: a run repeats exactly, but its verdicts are drawn independently.
    for seed, claim in enumerate(claims, start=1):
        prompt = JUDGE_PROMPT.format(passages=sources, claim=claim)
        reply = _prompt(judge, prompt, GenerateOptions(max_tokens=JUDGE_TOKENS, seed=seed))
        verdicts.append(Claim(claim, parse_verdict(reply)))
    return ClaimReport(tuple(verdicts))


def _split_claims(text: str, judge: Generator) -> list[str]:
    """Split a text into its atomic claims, without duplicates."""
    prompt = SPLIT_PROMPT.format(text=text)
    reply = _prompt(judge, prompt, GenerateOptions(max_tokens=SPLIT_TOKENS, seed=0))
    claims = list(dict.fromkeys(_BULLET.findall(reply)))
    if not claims:
        raise GenerationError(
            f"the judge {judge.spec.name} wrote no list of claims but {reply[:120]!r}: use a model"
            " that follows instructions"
        )
    return claims


def parse_verdict(reply: str) -> bool | None:
    """Read the verdict from a judge's reply; None if it states neither verdict, or both."""
    verdicts = {match[1] is None for match in _VERDICT.finditer(reply)}
    return verdicts.pop() if len(verdicts) == 1 else None


def _prompt(judge: Generator, prompt: str, options: GenerateOptions) -> str:
    return "".join(judge.stream([Message("user", (TextPart(prompt),))], options)).strip()
