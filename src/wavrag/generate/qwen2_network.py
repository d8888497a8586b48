"""The network of a Qwen2-Audio and its processor: messages in, tokens out.

Tokens are computed one by one as they are asked for, so that no thread runs ahead of its reader,
and one that is told to stop does so before the next token.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from wavrag.audio import SAMPLE_RATE
from wavrag.errors import GenerationError
from wavrag.generate.base import AnswerEnd, GenerateOptions, Message
from wavrag.generate.hearing import contents
from wavrag.generate.pieces import Pieces
from wavrag.types import Clip, Usage

MODEL_TYPE = "qwen2_audio"  # in a model's config.json
_END_OF_TURN = "<|im_end|>"


class Network:
    """A loaded model.

    Args:
        place: folder, or ORG/NAME on the hub.
        device: as torch names it; None for a GPU if there is one.
        dtype: of the weights, as torch names it; `auto` for what they were saved as.

    Attributes:
        context: tokens of prompt and answer together.

    Raises:
        GenerationError: the folder holds no whole Qwen2-Audio, or the hub has none.
    """

    def __init__(self, place: str, device: str | None, dtype: str) -> None:
        import torch
        import transformers

        self._place = place
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        hub: Any = transformers  # its own types say little
        try:
            config = hub.AutoConfig.from_pretrained(place)
            if config.model_type != MODEL_TYPE:
                raise GenerationError(
                    f"{place}: it is a {config.model_type}, no Qwen2-Audio: give one, or ask this"
                    " model through a server with openai:MODEL+audio"
                )
            self._processor = hub.AutoProcessor.from_pretrained(place)
            model, told = hub.Qwen2AudioForConditionalGeneration.from_pretrained(
                place, dtype=dtype, output_loading_info=True
            )
            self._model = model.to(device).eval()
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            raise GenerationError(f"{place}: the model cannot be loaded: {error}") from error
        if told["missing_keys"]:
            some = ", ".join(sorted(told["missing_keys"])[:3])
            raise GenerationError(
                f"{place}: it lacks weights ({some}): give a Qwen2-Audio that writes, as published"
            )
        self.context: int = config.get_text_config().max_position_embeddings
        self._hears: int = self._processor.feature_extractor.n_samples
        tokenizer = self._processor.tokenizer
        special = sorted({*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()})
        self._special = re.compile("|".join(map(re.escape, special)) or r"(?!)")
        ends = model.generation_config.eos_token_id
        self._ends = {*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id}
        self._ends.add(tokenizer.get_added_vocab().get(_END_OF_TURN))

    def read(self, messages: Sequence[Message]) -> Any:
        """The inputs of the model: token ids, shape = (1, n_tokens), and features of the sound."""
        clips: list[Clip] = []
        turns = []
        for message in messages:
            content: list[dict[str, str]] = []
            for part in contents(message.parts):
                if isinstance(part, str):
                    # The template itself puts nothing between a sound and the words after it.
                    words = "\n" * bool(content) + self._plain(part)
                    content.append({"type": "text", "text": words})
                else:
                    content[-1]["text"] += "\n"
                    content.append({"type": "audio", "audio": "heard"})
                    clips.append(self._whole(part))
            turns.append({"role": message.role, "content": content})
        prompt = self._processor.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=False
        )
        sound = (
            {"audio": [clip.samples for clip in clips], "sampling_rate": SAMPLE_RATE}
            if clips
            else {}
        )
        return self._processor(text=prompt, return_tensors="pt", **sound).to(self._model.device)

    def write(
        self, prompt: Any, options: GenerateOptions, indices: Sequence[int], stop: threading.Event
    ) -> Iterator[tuple[int, str | AnswerEnd]]:
        """Answers to one prompt, each a token at a time; the last of an index is `AnswerEnd`.

        Args:
            prompt: as `read` gives it.
            options: how to write; the seed of an answer is this one plus its index.
            indices: one for each answer.
            stop: when it is set no further token is computed.
        """
        import torch

        unread = int(prompt["input_ids"].shape[1])  # counted with the answer that ends first
        answers = [_Answer(index, options, self._decode, self._ends) for index in indices]
        if stop.is_set():
            return
        logits, cache = self._step(prompt)
        if len(answers) > 1:
            cache.batch_repeat_interleave(len(answers))
            logits = logits.expand(len(answers), -1)
        while True:
            tokens = _chosen(logits, options.temperature, [one.random for one in answers])
            for answer, token in zip(answers, tokens, strict=True):
                if piece := answer.take(token):
                    yield answer.index, piece
                if answer.ended:
                    yield answer.index, AnswerEnd(Usage(unread, answer.written))
                    unread = 0
                if stop.is_set():
                    return
            going = [row for row, answer in enumerate(answers) if not answer.ended]
            if not going:
                return
            if len(going) < len(answers):
                cache.batch_select_indices(torch.tensor(going, device=logits.device))
            answers = [answers[row] for row in going]
            last = torch.tensor([[tokens[row]] for row in going], device=logits.device)
            logits, cache = self._step({"input_ids": last}, cache)

    def _step(self, inputs: Any, cache: Any = None) -> tuple[Any, Any]:
        """Logits after the last token, shape = (n_answers, n_vocabulary), and what was read."""
        import torch

        try:
            with torch.inference_mode():
                read = self._model.model(**inputs, past_key_values=cache, use_cache=True)
                return self._model.lm_head(read.last_hidden_state[:, -1]), read.past_key_values
        except RuntimeError as error:  # above all: no memory
            raise GenerationError(f"{self._place}: the model failed: {error}") from error

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self._processor.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def _plain(self, words: str) -> str:
        """Words in which nothing reads as one of the model's own marks, such as `<|im_end|>`."""
        return self._special.sub(lambda mark: f"{mark[0][:1]} {mark[0][1:]}", words)

    def _whole(self, clip: Clip) -> Clip:
        """The clip, which the processor must not cut."""
        if len(clip.samples) > self._hears:
            raise GenerationError(
                f"{clip.source}: it lasts {clip.duration:.1f} s, and {self._place} hears"
                f" {self._hears / SAMPLE_RATE:g} s at a time: allow no longer max_clip_seconds"
                " in its AudioBudget"
            )
        return clip


class _Answer:
    """An answer while it is written.

    Attributes:
        index: that tells it from the others.
        random: torch generator of its own.
        written: tokens so far, the one that ended it too.
        ended: whether nothing follows.
    """

    def __init__(
        self,
        index: int,
        options: GenerateOptions,
        decode: Callable[[Sequence[int]], str],
        ends: Collection[int | None],
    ) -> None:
        import torch

        self.index = index
        self.random = torch.Generator()
        if options.seed is None:
            self.random.seed()
        else:
            self.random.manual_seed(options.seed + index)
        self.written = 0
        self.ended = False
        self._pieces = Pieces(decode, options.stop)
        self._longest = options.max_tokens
        self._ends = ends

    def take(self, token: int) -> str:
        """What one more token adds to the text; empty if nothing yet."""
        self.written += 1
        last = token in self._ends
        piece = "" if last else self._pieces.add(token)
        self.ended = last or self._pieces.stopped or self.written >= self._longest
        return piece + self._pieces.rest() if self.ended else piece


def _chosen(logits: Any, temperature: float, randoms: Sequence[Any]) -> list[int]:
    """The next token of each row: the likeliest, or drawn from the softmax at a temperature.

    Drawing adds noise to the logits and takes the largest (Gumbel-max; Maddison et al., "A*
    Sampling", 2014, section 2): each row has random numbers of its own.

    Args:
        logits: shape = (n_rows, n_vocabulary).
        temperature: 0 takes the likeliest.
        randoms: torch generators, one a row.
    """
    import torch

    if temperature <= 0:
        greedy: list[int] = logits.argmax(-1).tolist()
        return greedy
    scores = logits.float().cpu() / temperature
    noise = torch.stack(
        [-torch.empty(scores.shape[1]).exponential_(generator=random).log() for random in randoms]
    )
    drawn: list[int] = (scores + noise).argmax(-1).tolist()
    return drawn
