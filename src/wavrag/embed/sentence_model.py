"""Models that sentence-transformers runs, behind the embedder seam: text, sound, or both at once.

Knows how inputs are fed to them and in what batches; what is particular to a model is in its
`ModelSpec`.
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

from wavrag.embed.base import Embedder, EmbedderSpec, check_inputs, unit_rows
from wavrag.embed.fingerprint import hash_files
from wavrag.embed.model_specs import SPEC_FILE, ModelSpec, spec_for, spec_from_file
from wavrag.embed.sentence_network import POOLING, audio_inputs, build_network, token_spans
from wavrag.errors import EmbedderError, MissingExtraError
from wavrag.types import EmbedInput, Float32, Role

PREFIX = "st:"
BATCH_TEXTS = 32  # inputs without sound that are embedded at once
BATCH_SECONDS = 240.0  # sound that is embedded at once, padding included
NO_LIMIT = int(1e30)  # tokens; a limit here would also cut recordings, by as many samples

Piece = tuple[int, float, EmbedInput]  # row of the item, share of its vector, what is embedded


class SentenceModel(Embedder):
    """An embedding model of sentence-transformers, from a hub or a local folder.

    A text of more tokens than the model takes is embedded in pieces and its vector is their mean,
    weighted by length. A recording that is longer than the model hears at once goes in as several
    in one input where the model was trained so (`chunk_seconds`), and is refused otherwise.
    """

    def __init__(
        self,
        model: str | Path,
        spec: ModelSpec | None = None,
        *,
        device: str | None = None,
        prefix: str = PREFIX,
    ) -> None:
        """Name a model; its weights are read at the first item, or by `load`.

        Args:
            model: ORG/NAME on the hub, a folder, or `FOLDER#ORG/NAME` for a folder that holds
                a copy of a known model.
            spec: its contract, for a model that is not in the table and whose folder holds no
                `wavrag_embedder.json`.
            device: as torch names it; None for a GPU if there is one.
            prefix: before its place in the name that `load_embedder` takes.

        Raises:
            EmbedderError: the model's contract is not known, or it gives many vectors an item.
        """
        place, _, known = str(model).partition("#")
        self._folder = Path(place) if Path(place).is_dir() else None
        self._place, self._device = place, device
        if spec is None:
            if known:
                spec = spec_for(known)
            elif self._folder is not None and (self._folder / SPEC_FILE).is_file():
                spec = spec_from_file(self._folder / SPEC_FILE)
            else:
                spec = spec_for(place)
        if spec.vectors != "one":
            raise EmbedderError(
                f"{spec.name} gives a vector a token, and a knowledge base holds one a passage:"
                " choose a model with one vector (docs/models.md)"
            )
        self.model_spec = spec
        self._name = prefix + (str(self._folder.resolve()) if self._folder else place)
        self._name += f"#{known}" if known else ""

    @cached_property
    def spec(self) -> EmbedderSpec:
        """What it is and can do."""
        model = self.model_spec
        hears = "audio" in model.modalities
        return EmbedderSpec(
            name=self._name,
            revision=self._revision(),
            dim=model.dim,
            modalities=model.modalities,
            sampling_rate=model.sampling_rate if hears else None,
            max_audio_seconds=model.max_audio_seconds if hears else None,
            languages=model.languages,
            licence=model.licence,
        )

    def load(self) -> None:
        """Read the weights now rather than at the first item."""
        _ = self.network

    @cached_property
    def network(self) -> Any:
        """The `SentenceTransformer`.

        Raises:
            EmbedderError: it cannot be loaded, or is not what its contract says.
            MissingExtraError: sentence-transformers is not installed.
        """
        try:
            from sentence_transformers import SentenceTransformer
            from sentence_transformers.util import is_sentence_transformer_model
        except ImportError as error:
            raise MissingExtraError(f"embedder {self._name}", "models") from error
        spec = self.model_spec
        try:
            if spec.pooling != "own" and not is_sentence_transformer_model(self._place):
                network = build_network(
                    self._place, pooling=spec.pooling, dtype=spec.dtype, device=self._device
                )
            else:
                network = SentenceTransformer(
                    self._place,
                    device=self._device,
                    model_kwargs={"dtype": spec.dtype},
                    trust_remote_code=spec.trust_remote_code,
                )
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            raise EmbedderError(f"model {self._place} cannot be loaded: {error}") from error
        if getattr(network, "tokenizer", None) is not None:
            network.tokenizer.model_max_length = NO_LIMIT
        self._check(network)
        network.eval()
        return network

    def _check(self, network: Any) -> None:
        """Compare what was loaded with the contract."""
        from sentence_transformers.sentence_transformer.modules import Pooling

        spec = self.model_spec
        modes = [module.pooling_mode for module in network if isinstance(module, Pooling)]
        wanted = [POOLING[spec.pooling]] if spec.pooling in POOLING else []
        found = [mode if isinstance(mode, str) else "+".join(mode) for mode in modes]
        if found != wanted:
            raise EmbedderError(
                f"model {self._place} pools by {found or 'its own head'}, and its contract says"
                f" {spec.pooling!r}: load the model as published, or correct the contract"
            )
        if network.get_embedding_dimension() not in (spec.dim, None):
            raise EmbedderError(
                f"model {self._place} gives {network.get_embedding_dimension()} dimensions, and"
                f" its contract says {spec.dim}"
            )
        heard = _seconds_heard(getattr(network[0], "processor", None))
        most = spec.chunk_seconds or spec.max_audio_seconds
        if "audio" in spec.modalities and heard is not None and heard < most:
            raise EmbedderError(
                f"model {self._place} hears {heard:g} s at a time, and its contract says"
                f" {most:g} s: the rest would be cut"
            )

    def embed(self, inputs: Sequence[EmbedInput], role: Role) -> Float32:
        """Embed texts, clips, and texts with clips, each kind in batches of like length."""
        check_inputs(self.spec, inputs)
        sums = np.zeros((len(inputs), self.spec.dim), np.float32)
        model = self.model_spec
        prompt = model.query_prompt if role == "query" else model.passage_prompt
        own_message = model.prompt_role == "user"
        for batch in self._batches(inputs):
            vectors = self.network.encode(
                [self._input(item, prompt if own_message else "") for _, _, item in batch],
                prompt=None if own_message else prompt or None,
                batch_size=len(batch),
                show_progress_bar=False,
                normalize_embeddings=False,
            )
            for (row, share, _), vector in zip(batch, vectors, strict=True):
                sums[row] += share * vector.astype(np.float32)
        if not np.isfinite(sums).all():
            bad = int(np.argwhere(~np.isfinite(sums))[0, 0])
            raise EmbedderError(
                f"input {bad}: {self.spec.name} gave a vector that is not finite; its weights are"
                f" damaged, or {self.model_spec.dtype} is too coarse for them here"
            )
        return unit_rows(sums)

    def _batches(self, inputs: Sequence[EmbedInput]) -> Iterator[list[Piece]]:
        """Pieces of one kind and like length together, longest first."""
        kinds: dict[tuple[bool, bool], list[Piece]] = {}
        for row, item in enumerate(inputs):
            for share, piece in self._pieces(item):
                kind = (piece.text is None, piece.clip is None)
                kinds.setdefault(kind, []).append((row, share, piece))
        for pieces in kinds.values():
            pieces.sort(key=lambda piece: (-_size(piece[2]), piece[0]))
            while pieces:
                clip = pieces[0][2].clip
                count = BATCH_TEXTS
                if clip is not None:
                    longest = self.model_spec.chunk_seconds or clip.duration
                    chunks = max(1, -(-clip.duration // longest))
                    count = max(1, int(BATCH_SECONDS / (chunks * longest)))
                yield pieces[:count]
                del pieces[:count]

    def _pieces(self, item: EmbedInput) -> Iterator[tuple[float, EmbedInput]]:
        """An item whole, or as texts that the model can take whole, with their shares."""
        if not item.text:
            yield 1.0, item
            return
        if item.clip is not None and not self._takes_both:
            yield 0.5, EmbedInput(clip=item.clip)
            yield from (
                (share / 2, piece) for share, piece in self._pieces(EmbedInput(text=item.text))
            )
            return
        tokens = self._tokens(item.text)
        limit = self.model_spec.max_text_tokens
        if len(tokens) <= limit:
            yield 1.0, item
            return
        for at in range(0, len(tokens), limit):
            spans = tokens[at : at + limit]
            text = item.text[spans[0][0] : spans[-1][1]]
            yield len(spans) / len(tokens), EmbedInput(text=text, clip=item.clip)

    def _tokens(self, text: str) -> list[tuple[int, int]]:
        """Where every token of a text starts and ends; none without a tokenizer."""
        tokenizer = self.network.tokenizer
        return [] if tokenizer is None else token_spans(tokenizer, text)

    @cached_property
    def _takes_both(self) -> bool:
        """Whether text and sound can be one input."""
        return bool({"message", ("audio", "text")} & set(self.network.modalities))

    def _input(self, item: EmbedInput, prompt: str) -> Any:
        """An item as sentence-transformers takes it, with what belongs into its own message."""
        model = self.model_spec
        text = item.text or ""
        if item.clip is None:
            text = prompt + text + self._missing(model.text_suffix)
            if not prompt and not model.text_suffix:
                return text
            return [{"role": "user", "content": [{"type": "text", "text": text}]}]
        text = prompt + text + self._missing(model.audio_suffix)
        seconds = model.chunk_seconds or model.max_audio_seconds
        sound = {"audio": audio_inputs(item.clip.samples, item.clip.sample_rate, seconds)}
        return sound | ({"text": text} if text else {})

    def _missing(self, suffix: str) -> str:
        """A suffix, unless the model's own chat template puts it there."""
        processor = getattr(self.network[0], "processor", None)
        template = str(getattr(processor, "chat_template", "") or "")
        return "" if suffix.strip() and suffix.strip() in template else suffix

    def _revision(self) -> str:
        """Changes with the contract, and with the files of a local folder."""
        contract = asdict(replace(self.model_spec, note="", source=""))
        contract["modalities"] = sorted(self.model_spec.modalities)
        digest = hashlib.sha256(json.dumps(contract, sort_keys=True).encode())
        if self._folder is not None:
            hash_files(digest, self._folder, (".json", ".safetensors", ".bin", ".jinja"))
        return digest.hexdigest()[:16]


def _size(item: EmbedInput) -> float:
    return item.clip.duration if item.clip is not None else len(item.text or "")


def _seconds_heard(processor: Any) -> float | None:
    """Longest recording that a feature extractor takes whole; None if it does not say."""
    extractor = getattr(processor, "feature_extractor", None) or processor
    for name in ("chunk_length", "max_length_s"):
        value = getattr(extractor, name, None)
        if isinstance(value, int | float):
            return float(value)
    return None
