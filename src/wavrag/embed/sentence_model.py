"""Embedder for sentence-transformers models: text, audio, or both in one input.

Prepares the inputs and batches them; everything specific to a model is in its `ModelSpec`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wavrag import config
from wavrag.embed.base import Embedder, EmbedderSpec, check_inputs, unit_rows
from wavrag.embed.fingerprint import hash_files
from wavrag.embed.model_specs import (
    CODE_REVISIONS,
    REVISIONS,
    SPEC_FILE,
    ModelSpec,
    spec_for,
    spec_from_file,
)
from wavrag.embed.sentence_network import (
    POOLING,
    QWEN2_AUDIO,
    audio_inputs,
    build_network,
    token_spans,
    trim_padding,
)
from wavrag.errors import EmbedderError, MissingExtraError
from wavrag.types import EmbedInput, Float32, Role

PREFIX = "st:"
BATCH_TEXTS = 32  # texts per batch
BATCH_SECONDS = 240.0  # seconds of audio per batch, including padding; it bounds GPU memory
# Tokens. The tokenizer's limit also applies to audio, where it would count samples and truncate.
NO_LIMIT = int(1e30)

Segment = tuple[int, float, EmbedInput]  # row of the input, weight in its vector, segment


class SentenceModel(Embedder):
    """A sentence-transformers model from the hub or a local folder.

    A text beyond the token limit is split, and its vector is the mean of the segments, weighted by
    length. A recording beyond the model's audio limit is passed in chunks if the model was trained
    that way (`chunk_seconds`), and rejected otherwise.
    """

    def __init__(
        self,
        model: str | Path,
        spec: ModelSpec | None = None,
        *,
        device: str | None = None,
        prefix: str = PREFIX,
    ) -> None:
        """Find the spec; the weights are loaded by `load` or on the first call.

        Args:
            model: ORG/NAME on the hub, a folder, or `FOLDER#ORG/NAME` for a local copy of a known
                model.
            spec: required if the model is neither in the table nor in a folder with
                `wavrag_embedder.json`.
            device: torch device; None for a GPU if available.
            prefix: prefix of the embedder's name.

        Raises:
            EmbedderError: the spec is unknown, or the model yields many vectors per input.
        """
        location, _, hub_name = str(model).partition("#")
        self._folder = Path(location) if Path(location).is_dir() else None
        self._location, self._device = location, device
        if spec is None:
            if hub_name:
                spec = spec_for(hub_name)
            elif self._folder is not None and (self._folder / SPEC_FILE).is_file():
                spec = spec_from_file(self._folder / SPEC_FILE)
            else:
                spec = spec_for(location)
        if spec.vectors != "one":
            raise EmbedderError(
                f"{spec.name} yields a vector per token, but a knowledge base stores one per"
                " passage: choose a model with one vector (docs/models.md)"
            )
        self.model_spec = spec
        self._name = prefix + (str(self._folder.resolve()) if self._folder else location)
        self._name += f"#{hub_name}" if hub_name else ""

    @cached_property
    def spec(self) -> EmbedderSpec:
        """Name, revision and capabilities."""
        model = self.model_spec
        takes_audio = "audio" in model.modalities
        return EmbedderSpec(
            name=self._name, revision=self._revision(), dim=model.dim, modalities=model.modalities,
            sampling_rate=model.sampling_rate if takes_audio else None,
            max_audio_seconds=model.max_audio_seconds if takes_audio else None,
            languages=model.languages, licence=model.licence,
        )  # fmt: skip

    def load(self) -> None:
        """Load the weights now instead of on the first call."""
        _ = self.network

    @cached_property
    def network(self) -> Any:
        """The `SentenceTransformer`.

        Raises:
            EmbedderError: the model cannot be loaded, contradicts its spec, or runs code that the
                user has not allowed.
            MissingExtraError: sentence-transformers is not installed.
        """
        spec = self.model_spec
        if spec.trust_remote_code and not config.is_code_trusted(self._location):
            raise EmbedderError(
                f"model {self._location} runs code from its repository, with all your rights: read"
                f" that code, and allow it with WAVRAG_TRUST_CODE={self._location}"
            )
        try:
            from sentence_transformers import SentenceTransformer
            from sentence_transformers.util import is_sentence_transformer_model
        except ImportError as error:
            raise MissingExtraError(f"embedder {self._name}", "models") from error
        revision = None if self._folder else REVISIONS.get(self._location)
        code_revision = CODE_REVISIONS.get(self._location)
        code = {"code_revision": code_revision} if code_revision else {}
        try:
            # A bare transformers model has no pooling of its own.
            if spec.pooling != "own" and not is_sentence_transformer_model(
                self._location, revision=revision
            ):
                network = build_network(
                    self._location, pooling=spec.pooling, dtype=spec.dtype, device=self._device,
                    revision=revision,
                )  # fmt: skip
            else:
                network = SentenceTransformer(
                    self._location, device=self._device, config_kwargs=code,
                    model_kwargs={"dtype": spec.dtype, **code},
                    trust_remote_code=spec.trust_remote_code, revision=revision,
                )  # fmt: skip
                if getattr(getattr(network[0], "config", None), "model_type", "") == QWEN2_AUDIO:
                    trim_padding(network[0].model)
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            raise EmbedderError(f"model {self._location} cannot be loaded: {error}") from error
        if getattr(network, "tokenizer", None) is not None:
            network.tokenizer.model_max_length = NO_LIMIT
        self._check(network)
        network.eval()  # no dropout
        return network

    def _check(self, network: Any) -> None:
        """Compare the loaded network with the spec."""
        from sentence_transformers.sentence_transformer.modules import Pooling

        spec = self.model_spec
        modes = [module.pooling_mode for module in network if isinstance(module, Pooling)]
        expected = [POOLING[spec.pooling]] if spec.pooling in POOLING else []
        pooling = [mode if isinstance(mode, str) else "+".join(mode) for mode in modes]
        if pooling != expected:
            raise EmbedderError(
                f"model {self._location} pools by {pooling or 'its own head'}, but its spec says"
                f" {spec.pooling!r}: load the model as published, or correct the spec"
            )
        if network.get_embedding_dimension() not in (spec.dim, None):
            raise EmbedderError(
                f"model {self._location} has {network.get_embedding_dimension()} dimensions, but"
                f" its spec says {spec.dim}"
            )
        limit = _max_seconds(getattr(network[0], "processor", None))
        seconds = spec.chunk_seconds or spec.max_audio_seconds
        # The feature extractor would truncate longer audio without an error.
        if "audio" in spec.modalities and limit is not None and limit < seconds:
            raise EmbedderError(
                f"model {self._location} takes {limit:g} s of audio, but its spec says"
                f" {seconds:g} s: the remainder would be truncated"
            )

    def embed(self, inputs: Sequence[EmbedInput], role: Role) -> Float32:
        """Embed texts, clips, and texts with clips, in batches of one kind and similar length."""
        check_inputs(self.spec, inputs)
        sums = np.zeros((len(inputs), self.spec.dim), np.float32)
        model = self.model_spec
        prompt = model.query_prompt if role == "query" else model.passage_prompt
        in_message = model.prompt_role == "user"
        for batch in self._batches(inputs):
            vectors = self.network.encode(
                [self._model_input(segment, prompt if in_message else "") for *_, segment in batch],
                prompt=None if in_message else prompt or None, batch_size=len(batch),
                show_progress_bar=False,
                normalize_embeddings=False,  # the mean over segments comes first
            )  # fmt: skip
            for (row, weight, _), vector in zip(batch, vectors, strict=True):
                sums[row] += weight * vector.astype(np.float32)
        if not np.isfinite(sums).all():
            bad = int(np.argwhere(~np.isfinite(sums))[0, 0])
            raise EmbedderError(
                f"input {bad}: {self.spec.name} returned a vector that is not finite; its weights"
                f" are damaged, or {self.model_spec.dtype} is too imprecise on this device"
            )
        return unit_rows(sums)

    def _batches(self, inputs: Sequence[EmbedInput]) -> Iterator[list[Segment]]:
        """Group segments of one kind and similar length, longest first.

        A batch too large for the memory then fails at the start.
        """
        kinds: dict[tuple[bool, bool], list[Segment]] = {}
        for row, content in enumerate(inputs):
            for weight, segment in self._segments(content):
                kind = (segment.text is None, segment.clip is None)
                kinds.setdefault(kind, []).append((row, weight, segment))
        for segments in kinds.values():
            segments.sort(key=lambda segment: (-_size(segment[2]), segment[0]))
            while segments:
                clip = segments[0][2].clip
                count = BATCH_TEXTS
                if clip is not None:
                    longest = self.model_spec.chunk_seconds or clip.duration
                    chunks = max(1, -(-clip.duration // longest))
                    count = max(1, int(BATCH_SECONDS / (chunks * longest)))
                yield segments[:count]
                del segments[:count]

    def _segments(self, content: EmbedInput) -> Iterator[tuple[float, EmbedInput]]:
        """Split an input into segments within the model's limits, each with its weight."""
        if not content.text:
            yield 1.0, content
            return
        # Two towers, as in CLAP: take the mean of both vectors.
        if content.clip is not None and not self._takes_both:
            yield 0.5, EmbedInput(clip=content.clip)
            for weight, segment in self._segments(EmbedInput(text=content.text)):
                yield weight / 2, segment
            return
        tokens = self._tokens(content.text)
        limit = self.model_spec.max_text_tokens
        if len(tokens) <= limit:
            yield 1.0, content
            return
        for spans in (tokens[at : at + limit] for at in range(0, len(tokens), limit)):
            text = content.text[spans[0][0] : spans[-1][1]]
            yield len(spans) / len(tokens), EmbedInput(text=text, clip=content.clip)

    def _tokens(self, text: str) -> list[tuple[int, int]]:
        """Return the character span of each token; empty without a tokenizer."""
        tokenizer = self.network.tokenizer
        return [] if tokenizer is None else token_spans(tokenizer, text)

    @cached_property
    def _takes_both(self) -> bool:
        """True if text and audio can share an input."""
        return bool({"message", ("audio", "text")} & set(self.network.modalities))

    def _model_input(self, content: EmbedInput, prompt: str) -> Any:
        """Convert an input to the format of sentence-transformers, with prompt and suffix."""
        model = self.model_spec
        text = content.text or ""
        if content.clip is None:
            text = prompt + text + self._suffix(model.text_suffix)
            if not prompt and not model.text_suffix:
                return text
            return [{"role": "user", "content": [{"type": "text", "text": text}]}]
        text = prompt + text + self._suffix(model.audio_suffix)
        seconds = model.chunk_seconds or model.max_audio_seconds
        sound = {"audio": audio_inputs(content.clip.samples, content.clip.sample_rate, seconds)}
        return sound | ({"text": text} if text else {})

    def _suffix(self, suffix: str) -> str:
        """Return the suffix, or nothing if the model's chat template already adds it."""
        processor = getattr(self.network[0], "processor", None)
        template = str(getattr(processor, "chat_template", "") or "")
        return "" if suffix.strip() and suffix.strip() in template else suffix

    def _revision(self) -> str:
        """Hash the spec, and the files of a local folder."""
        values = asdict(replace(self.model_spec, note="", source=""))
        values["modalities"] = sorted(self.model_spec.modalities)
        digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
        if self._folder is not None:
            hash_files(digest, self._folder, (".json", ".safetensors", ".bin", ".jinja"))
        return digest.hexdigest()[:16]


def _size(content: EmbedInput) -> float:
    return content.clip.duration if content.clip is not None else len(content.text or "")


def _max_seconds(processor: Any) -> float | None:
    """Return the audio limit of a feature extractor in seconds; None if it declares none."""
    extractor = getattr(processor, "feature_extractor", None) or processor
    for name in ("chunk_length", "max_length_s"):
        value = getattr(extractor, name, None)
        if isinstance(value, int | float):
            return float(value)
    return None
