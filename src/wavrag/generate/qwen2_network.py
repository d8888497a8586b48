"""The network of a Qwen2-Audio with its processor: messages in, tokens out.

Tokens are computed on demand, one at a time, so a stop takes effect before the next token.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from wavrag.audio import SAMPLE_RATE
from wavrag.errors import GenerationError
from wavrag.generate.audio_input import render_with_audio
from wavrag.generate.base import AnswerEnd, GenerateOptions, Message, StopSignal
from wavrag.generate.detokenizer import StreamingDetokenizer
from wavrag.types import Clip, Usage

MODEL_TYPE = "qwen2_audio"  # in a model's config.json
_END_OF_TURN = "<|im_end|>"


class Network:
    """A loaded model: on a GPU if there is one, in the precision of its files.

    Args:
        model: folder, or ORG/NAME on the hub.

    Attributes:
        context: size of the context window in tokens.

    Raises:
        GenerationError: folder or hub hold no complete Qwen2-Audio.
    """

    def __init__(self, model: str) -> None:
        import torch
        import transformers

        self._name = model
        device = "cuda" if torch.cuda.is_available() else "cpu"
        hub: Any = transformers  # most of its functions are untyped
        try:
            config = hub.AutoConfig.from_pretrained(model)
            if config.model_type != MODEL_TYPE:
                raise GenerationError(
                    f"{model}: it is a {config.model_type}, no Qwen2-Audio: give one, or ask this"
                    " model through a server with openai:MODEL+audio"
                )
            self._processor = hub.AutoProcessor.from_pretrained(model)
            network, report = hub.Qwen2AudioForConditionalGeneration.from_pretrained(
                model, dtype="auto", output_loading_info=True
            )
            self._model = network.to(device).eval()
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            raise GenerationError(f"{model}: the model cannot be loaded: {error}") from error
        # transformers only warns about missing weights, and fills them with random numbers.
        if report["missing_keys"]:
            examples = ", ".join(sorted(report["missing_keys"])[:3])
            raise GenerationError(
                f"{model}: it lacks weights ({examples}): give a Qwen2-Audio that writes, as"
                " published"
            )
        self.context: int = config.get_text_config().max_position_embeddings
        self._max_samples: int = self._processor.feature_extractor.n_samples
        tokenizer = self._processor.tokenizer
        special_tokens = sorted({*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()})
        self._special = re.compile("|".join(map(re.escape, special_tokens)) or r"(?!)")
        # Any of these ends an answer: the model's own, the tokenizer's, and the chat template's.
        ends = network.generation_config.eos_token_id
        self._end_tokens = {*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id}
        self._end_tokens.add(tokenizer.get_added_vocab().get(_END_OF_TURN))

    def encode(self, messages: Sequence[Message]) -> Any:
        """Encode messages: token ids, shape = (1, n_tokens), and features of the audio."""
        clips: list[Clip] = []
        turns = []
        for message in messages:
            contents: list[dict[str, str]] = []
            for content in render_with_audio(message.parts):
                if isinstance(content, str):
                    # The chat template puts nothing between audio and the text after it.
                    text = "\n" * bool(contents) + self._escape(content)
                    contents.append({"type": "text", "text": text})
                else:
                    contents[-1]["text"] += "\n"
                    contents.append({"type": "audio", "audio": "clip"})
                    if len(content.samples) > self._max_samples:
                        # The feature extractor would truncate it without a warning.
                        raise GenerationError(
                            f"{content.source}: it lasts {content.duration:.1f} s, and {self._name}"
                            f" hears {self._max_samples / SAMPLE_RATE:g} s at a time: allow no"
                            " longer max_clip_seconds in its AudioBudget"
                        )
                    clips.append(content)
            turns.append({"role": message.role, "content": contents})
        prompt = self._processor.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=False
        )
        audio: dict[str, Any] = {}
        if clips:
            audio = {"audio": [clip.samples for clip in clips], "sampling_rate": SAMPLE_RATE}
        return self._processor(text=prompt, return_tensors="pt", **audio).to(self._model.device)

    def generate(
        self, inputs: Any, options: GenerateOptions, indices: Sequence[int], stop: StopSignal
    ) -> Iterator[tuple[int, str | AnswerEnd]]:
        """Generate a batch of answers as `(index, piece)`, each with an `AnswerEnd`.

        The seed of an answer is the seed of `options` plus its index, one of `indices`.
        """
        import torch

        prompt_tokens = int(inputs["input_ids"].shape[1])  # counted with the first answer to end
        answers = [
            _AnswerState(index, options, self._decode, self._end_tokens) for index in indices
        ]
        logits, cache = self._forward(inputs)
        if len(answers) > 1:  # the prompt is evaluated once, and its cache repeated
            cache.batch_repeat_interleave(len(answers))
            logits = logits.expand(len(answers), -1)
        while True:
            tokens = _sample(logits, options.temperature, [answer.random for answer in answers])
            for answer, token in zip(answers, tokens, strict=True):
                if text := answer.add(token):
                    yield answer.index, text
                if answer.finished:
                    yield answer.index, AnswerEnd(Usage(prompt_tokens, answer.tokens))
                    prompt_tokens = 0
                if stop.is_set:
                    return
            rows = [row for row, answer in enumerate(answers) if not answer.finished]
            if not rows:
                return
            if len(rows) < len(answers):  # finished answers leave the batch
                cache.batch_select_indices(torch.tensor(rows, device=logits.device))
            answers = [answers[row] for row in rows]
            last_tokens = torch.tensor([[tokens[row]] for row in rows], device=logits.device)
            logits, cache = self._forward({"input_ids": last_tokens}, cache)

    def _forward(self, inputs: Any, cache: Any = None) -> tuple[Any, Any]:
        """Logits after the last token, shape = (n_answers, n_vocabulary), and the cache."""
        import torch

        try:
            with torch.inference_mode():
                output = self._model.model(**inputs, past_key_values=cache, use_cache=True)
                # The head runs on the last token only: for a long prompt, logits of all tokens
                # would take gigabytes.
                logits = self._model.lm_head(output.last_hidden_state[:, -1])
                return logits, output.past_key_values
        except RuntimeError as error:  # mostly out of memory
            raise GenerationError(f"{self._name}: the model failed: {error}") from error

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self._processor.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def _escape(self, text: str) -> str:
        """Break up special tokens such as `<|im_end|>`, so that a source cannot inject them."""
        return self._special.sub(lambda mark: f"{mark[0][:1]} {mark[0][1:]}", text)


class _AnswerState:
    """An answer in progress."""

    def __init__(
        self,
        index: int,
        options: GenerateOptions,
        decode: Callable[[Sequence[int]], str],
        end_tokens: Collection[int | None],
    ) -> None:
        import torch

        self.index = index
        self.random = torch.Generator()  # of its own, so that no other answer changes it
        if options.seed is None:
            self.random.seed()
        else:
            self.random.manual_seed(options.seed + index)
        self.tokens = 0  # with the end token
        self.finished = False
        self._text = StreamingDetokenizer(decode, options.stop)
        self._max_tokens = options.max_tokens
        self._end_tokens = end_tokens

    def add(self, token: int) -> str:
        """Add a token and return the new text, if any."""
        self.tokens += 1
        is_end = token in self._end_tokens
        text = "" if is_end else self._text.add(token)
        self.finished = is_end or self._text.stopped or self.tokens >= self._max_tokens
        return text + self._text.flush() if self.finished else text


def _sample(logits: Any, temperature: float, randoms: Sequence[Any]) -> list[int]:
    """Choose the next token of each row: the argmax, or a sample of the softmax.

    Samples with the Gumbel-max trick (Maddison et al., "A* Sampling", 2014, section 2): adds noise
    to the logits and takes the maximum. Each row has its own random numbers, so an answer does not
    depend on the others in its batch.
    """
    import torch

    if temperature <= 0:
        greedy: list[int] = logits.argmax(-1).tolist()
        return greedy
    scores = logits.float().cpu() / temperature
    noise = torch.stack(
        [-torch.empty(scores.shape[1]).exponential_(generator=random).log() for random in randoms]
    )
    samples: list[int] = (scores + noise).argmax(-1).tolist()
    return samples
