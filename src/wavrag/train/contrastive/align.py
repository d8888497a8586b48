"""Alignment, before contrastive training: the projector alone learns from the language model.

With `fit_words`, it starts from a least-squares fit of frames to words. The frozen language model
must repeat the words of a recording, given the projected frames of the frozen encoder (captioning
loss). Without either, contrastive training starts from noise.

OUT/frames.f16                 frames of the encoder, shape = (n_frames, width), float16
OUT/tokens.i64                 for `fit_words`: token spoken in each frame, shape = (n_frames,)
OUT/clips.json                 their offsets, and the words of every recording
OUT/state.pt                   projector and optimiser, for resuming
OUT/projector-N.safetensors    projector after N steps
OUT/log.json                   training and held-out loss at every checkpoint, nats per token
OUT/projector.safetensors      projector at the end
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy, pad

from wavrag.audio import SAMPLE_RATE, load
from wavrag.data import Content, write_json
from wavrag.embed import PADDING_FRAMES, WordAligner, trim_padding
from wavrag.errors import InputError
from wavrag.train.contrastive.fit import UNKNOWN, align_tokens, fit_projector
from wavrag.train.contrastive.options import Recipe
from wavrag.types import Clip

# With the token embeddings of the words in place of audio, SmolLM2-135M-Instruct repeats them at
# .54 nats a token after this instruction, and at .73 without one.
BEFORE = "<|im_start|>user\nRepeat this: <|audio_bos|>"
AFTER = "<|audio_eos|><|im_end|>\n<|im_start|>assistant\n"
END = "<|im_end|>"
HELD_OUT = 64  # recordings for the loss at a checkpoint; a tenth if there are fewer than 640
ENCODE_BATCH = 16  # recordings
FIT_CLIPS = 1_600  # for the least-squares fit, spread over all: alignment is slow
WARMUP = 20  # steps
HOP = 160  # samples per frame of the spectrogram
Log = Callable[[Mapping[str, Any]], None]


def align(
    recipe: Recipe,
    rows: Sequence[Path],
    out: Path,
    log: Log,
    on_progress: Callable[[int, int], None],
) -> dict[str, torch.Tensor]:
    """Train the projector on the recordings in files of rows; an interrupted run resumes.

    Returns:
        State of the projector, float32.

    Raises:
        InputError: no recording has a transcript, or the base has no language-modelling head.
    """
    if not (out / "projector.safetensors").is_file():
        out.mkdir(parents=True, exist_ok=True)
        model, processor = load_with_head(recipe.model.base, getattr(torch, recipe.model.dtype))
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        if not (out / "clips.json").is_file():
            contents = read_spoken(rows, recipe.align.max_seconds)
            write_frames(model, processor, contents, recipe, out)
        state = Aligner(model, processor.tokenizer, recipe, out).train(log, on_progress)
        save_file(state, out / "projector.safetensors")
    return load_file(out / "projector.safetensors")


def load_with_head(base: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """Load a Qwen2-Audio for generation, frozen, and its processor."""
    from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration

    hub: Any = Qwen2AudioForConditionalGeneration
    model, report = hub.from_pretrained(base, dtype=dtype, output_loading_info=True)
    if report["missing_keys"]:
        raise InputError(f"base model {base} has no language-modelling head, which `align` needs")
    trim_padding(model.model)
    processor = AutoProcessor.from_pretrained(base)  # type: ignore[no-untyped-call]
    return model.eval().requires_grad_(False), processor


def read_spoken(rows: Sequence[Path], max_seconds: float) -> list[Content]:
    """Read the distinct recordings with a transcript from files of rows."""
    contents: dict[tuple[Any, ...], Content] = {}
    for path in rows:
        for line in path.read_text(encoding="utf-8").splitlines():
            for text in json.loads(line).values():
                content = Content(**json.loads(text))
                if content.transcript:
                    contents[content.audio, content.start, content.end] = content
    if not contents:
        raise InputError("`align` needs recordings with a `transcript`, and the data have none")
    return [
        content
        for content in contents.values()
        if content.end is None or content.end - (content.start or 0.0) <= max_seconds
    ]


def write_frames(
    model: Any, processor: Any, contents: Sequence[Content], recipe: Recipe, out: Path
) -> None:
    """Encode all recordings once: the frozen encoder gives the same frames in every epoch."""
    offsets, root = [0], Path(recipe.root)
    stride = -(-len(contents) // FIT_CLIPS)
    aligner = WordAligner() if recipe.align.fit_words else None
    with (out / "frames.f16").open("wb") as file, (out / "tokens.i64").open("wb") as token_file:
        for at in range(0, len(contents), ENCODE_BATCH):
            batch = contents[at : at + ENCODE_BATCH]
            clips = [
                load(root / str(content.audio), start=content.start or 0.0, end=content.end).samples
                for content in batch
            ]
            encoded = encode_clips(model, processor.feature_extractor, clips)
            for number, samples in enumerate(clips):
                frames = encoded[number]
                file.write(frames.tobytes())
                offsets.append(offsets[-1] + len(frames))
                tokens = np.full(len(frames), UNKNOWN)
                if aligner and (at + number) % stride == 0:
                    clip, text = Clip(samples, SAMPLE_RATE), str(batch[number].transcript)
                    tokens = align_tokens(aligner, processor.tokenizer, clip, text, len(frames))
                token_file.write(tokens.tobytes())
    words = [content.transcript for content in contents]
    write_json(out / "clips.json", {"offsets": offsets, "words": words})  # last: it completes them


@torch.inference_mode()
def encode_clips(model: Any, extractor: Any, clips: Sequence[Any]) -> list[Any]:
    """Compute the frames of clips, each of shape = (n_frames, width), float16."""
    longest = max(map(len, clips)) // HOP + PADDING_FRAMES
    features = extractor(
        list(clips), sampling_rate=SAMPLE_RATE, return_attention_mask=True, return_tensors="pt",
        padding="max_length", max_length=-(-longest // 4) * 4 * HOP,
    )  # fmt: skip
    tower = model.model.audio_tower
    lengths, n_frames = tower._get_feat_extract_output_lengths(features["attention_mask"].sum(-1))
    mask = torch.arange(features["input_features"].shape[-1] // 2) < lengths[:, None]
    states = tower(
        features["input_features"], attention_mask=mask[:, None, None].to(tower.device)
    ).last_hidden_state
    return [
        row[: int(length)].to(torch.float16).cpu().numpy()
        for row, length in zip(states, n_frames, strict=True)
    ]


class Aligner:
    """Trains the projector of a model on the frames in a run folder."""

    def __init__(self, model: Any, tokenizer: Any, recipe: Recipe, out: Path) -> None:
        self._model, self._out = model, out
        self._options, self._seed = recipe.align, recipe.seed
        self._projector = model.model.multi_modal_projector.float().requires_grad_(True)
        table = json.loads((out / "clips.json").read_text(encoding="utf-8"))
        width = model.config.audio_config.d_model
        self._frames = np.memmap(out / "frames.f16", np.float16, "r").reshape(-1, width)
        self._offsets = table["offsets"]

        def tokenize(text: str) -> torch.Tensor:
            ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"][0]
            return torch.as_tensor(ids, device=model.device)

        self._before, self._after = tokenize(BEFORE), tokenize(AFTER)
        self._labels = [tokenize(words + END) for words in table["words"]]
        count = min(HELD_OUT, len(self._labels) // 10)
        order = np.random.default_rng(self._seed).permutation(len(self._labels)).tolist()
        self._held_out, self._training = order[:count], order[count:]

    def train(self, log: Log, on_progress: Callable[[int, int], None]) -> dict[str, torch.Tensor]:
        """Train for all steps, or until the time limit; return the state of the projector."""
        options, started = self._options, time.monotonic()
        parameters = list(self._projector.parameters())
        optimizer = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=0.0)
        warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / WARMUP, total_iters=WARMUP)
        trained = {"projector": self._projector, "optimizer": optimizer, "warmup": warmup}
        first, path = 0, self._out / "state.pt"
        losses: list[float] = []  # since the last checkpoint
        lines: list[dict[str, Any]] = []
        if path.is_file():
            stored = torch.load(path, map_location=self._model.device)
            first, lines = stored["step"], stored["log"]
            for name, module in trained.items():
                module.load_state_dict(stored[name])
        elif options.fit_words:
            tokens = np.fromfile(self._out / "tokens.i64", np.int64)
            known = tokens != UNKNOWN
            embeddings = self._model.get_input_embeddings().weight
            state = fit_projector(self._frames[known], tokens[known], embeddings)
            self._projector.load_state_dict(state)
        for step, batch in zip(range(first, options.steps + 1), self._batches(first), strict=False):
            late = bool(options.minutes) and time.monotonic() - started > 60 * options.minutes
            if step % options.save_steps == 0 or step == options.steps or late:
                loss = round(float(np.mean(losses)), 4) if losses else None
                lines.append({"align_step": step, "loss": loss, "held_out": self.held_out_loss()})
                log(lines[-1])
                save_file(self._state(), self._out / f"projector-{step}.safetensors")
                states = {name: module.state_dict() for name, module in trained.items()}
                torch.save({"step": step, "log": lines, **states}, path)
                write_json(self._out / "log.json", lines)
                losses = []
            if step == options.steps or late:
                break
            value = self._loss(batch)
            value.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            warmup.step()
            losses.append(value.item())
            on_progress(step + 1, options.steps)
        return self._state()

    @torch.inference_mode()
    def held_out_loss(self) -> float | None:
        """Return the mean loss of the held-out recordings; None if there are none."""
        batch = self._options.batch
        starts = range(0, len(self._held_out), batch)
        losses = [self._loss(self._held_out[at : at + batch]).item() for at in starts]
        return round(float(np.mean(losses)), 4) if losses else None

    def _state(self) -> dict[str, torch.Tensor]:
        return {name: value.detach().cpu() for name, value in self._projector.state_dict().items()}

    def _batches(self, first: int) -> Iterator[list[int]]:
        """Yield batches of recordings from step `first` on, in another order in every epoch."""
        size = min(self._options.batch, len(self._training))
        per_epoch = len(self._training) // size
        while True:
            order = np.random.default_rng((self._seed, first // per_epoch)).permutation(
                self._training
            )
            for at in range(first % per_epoch, per_epoch):
                yield order[at * size : (at + 1) * size].tolist()
            first = (first // per_epoch + 1) * per_epoch

    def _loss(self, batch: Sequence[int]) -> torch.Tensor:
        """Return the mean cross-entropy of the words of recordings, nats per token."""
        language_model = self._model.model.language_model
        embed = language_model.get_input_embeddings()
        device, dtype = self._model.device, embed.weight.dtype
        inputs = []
        for index in batch:
            frames = self._frames[self._offsets[index] : self._offsets[index + 1]]
            audio = self._projector(torch.as_tensor(frames.astype(np.float32), device=device))
            texts = map(embed, (self._before, self._after, self._labels[index]))
            before, after, words = texts
            inputs.append(torch.cat([before, audio.to(dtype), after, words]))
        longest = max(map(len, inputs))
        states = language_model(
            # Padding on the left puts the words of all recordings at the end.
            inputs_embeds=torch.stack([pad(row, (0, 0, longest - len(row), 0)) for row in inputs]),
            attention_mask=torch.stack(
                [torch.arange(longest, device=device) >= longest - len(row) for row in inputs]
            ).long(),
        ).last_hidden_state
        labels = [self._labels[index] for index in batch]
        # The state before a token predicts it. The head runs on these states only.
        predictions = torch.cat(
            [row[-len(words) - 1 : -1] for row, words in zip(states, labels, strict=True)]
        )
        return cross_entropy(self._model.lm_head(predictions).float(), torch.cat(labels))
