"""An embedding model that another machine serves, through the OpenAI-compatible `/v1/embeddings`.

Texts go as `input`, many in a request. Items with sound go as chat `messages` with an `input_audio`
part, the form that vLLM takes for multimodal embedding models; `messages` holds one conversation,
so each is a request of its own.

Sources: https://docs.vllm.ai/en/latest/models/pooling_models/embed/ (multi-modal inputs),
https://docs.vllm.ai/en/latest/features/multimodal_inputs/ (audio inputs).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from wavrag.audio import wav_bytes
from wavrag.closing import Closing
from wavrag.embed.base import Embedder, EmbedderSpec, check_inputs, unit_rows
from wavrag.embed.remote_options import RemoteOptions
from wavrag.embed.remote_server import EndpointError, RemoteServer
from wavrag.errors import EmbedderError
from wavrag.types import Clip, EmbedInput, Float32, Modality, Role

__all__ = ["RemoteEmbedder", "RemoteOptions"]

Batch = list[tuple[int, EmbedInput]]  # inputs with their place in the call


class RemoteEmbedder(Embedder, Closing):
    """Sends inputs to a server and gives back its vectors, scaled to unit length.

    Making one asks the server for its model, for the vector of a word, to learn the dimensions,
    and for those of two short sounds, to learn whether it hears: it does if it takes them and tells
    them apart.

    Args:
        options: how the server is reached and asked.

    Raises:
        MissingExtraError: the SDK is not installed.
        EmbedderError: the server cannot be reached, refuses the key, has no such model, or serves
            several where none was named.
    """

    def __init__(self, options: RemoteOptions) -> None:
        self._options = options
        self._server = RemoteServer(options)
        try:
            self._model, root = self._choose_model()
            dim = self._server.embed(
                self._body([(0, EmbedInput(text="probe"))], "passage"), 1
            ).shape[1]
            hears = self._hears() if options.audio is None else options.audio
        except BaseException:
            self.close()
            raise
        modalities: set[Modality] = {"text", "audio"} if hears else {"text"}
        self._spec = EmbedderSpec(
            name=options.name(self._model),
            revision=options.revision(self._model, root),
            dim=dim,
            modalities=frozenset(modalities),
            sampling_rate=options.sampling_rate if hears else None,
            max_audio_seconds=options.max_audio_seconds if hears else None,
            languages=(),
            licence="NOASSERTION",
        )

    @property
    def spec(self) -> EmbedderSpec:
        """What it is and can do; a server does not tell its languages nor its licence."""
        return self._spec

    def close(self) -> None:
        """Close the connections to the server."""
        self._server.close()

    def embed(self, inputs: Sequence[EmbedInput], role: Role) -> Float32:
        """Embed inputs: texts in batches, clips one by one, a few requests at a time.

        Raises:
            EmbedderError: an item is not allowed by the spec, or the server cannot be reached,
                refuses, or sends something other than one vector for each item.
        """
        check_inputs(self._spec, inputs)
        batches = self._batches(inputs)
        rows = np.empty((len(inputs), self._spec.dim), np.float32)
        results = self._map(lambda batch: self._embed_batch(batch, role), batches)
        for batch, vectors in zip(batches, results, strict=True):
            rows[[place for place, _ in batch]] = vectors
        return unit_rows(rows)

    def _batches(self, inputs: Sequence[EmbedInput]) -> list[Batch]:
        texts: Batch = []
        alone: list[Batch] = []
        for place, item in enumerate(inputs):
            if self._is_chat(item):
                alone.append([(place, item)])
            else:
                texts.append((place, item))
        size = self._options.batch_size
        return [texts[at : at + size] for at in range(0, len(texts), size)] + alone

    def _map(self, function: Callable[[Batch], Float32], batches: list[Batch]) -> list[Float32]:
        workers = min(self._options.concurrency, len(batches))
        if workers < 2:
            return [function(batch) for batch in batches]
        with ThreadPoolExecutor(workers, thread_name_prefix="wavrag-remote") as pool:
            return list(pool.map(function, batches))

    def _embed_batch(self, batch: Batch, role: Role) -> Float32:
        """Vectors of a batch, halved for as long as the server finds it too large."""
        try:
            vectors = self._server.embed(self._body(batch, role), len(batch))
        except EndpointError as error:
            if error.status == 413 and len(batch) > 1:
                half = len(batch) // 2
                parts = [self._embed_batch(part, role) for part in (batch[:half], batch[half:])]
                return np.concatenate(parts)
            if error.status == 404 or not error.is_about_content:
                raise
            remedy = "make it shorter, or raise the limit of the server"
            raise EmbedderError(f"{_label(batch)}: {error}: {remedy}") from error
        if vectors.shape[1] != self._spec.dim:
            raise EmbedderError(
                f"{self._options.base_url}: it sent vectors of {vectors.shape[1]} dimensions, and"
                f" {self._spec.dim} before: another model answers there; load the embedder again"
            )
        return vectors

    def _is_chat(self, item: EmbedInput) -> bool:
        return item.clip is not None or self._options.text_as == "messages"

    def _body(self, batch: Batch, role: Role) -> dict[str, Any]:
        """The request for a batch of texts, or for one item as a chat."""
        options = self._options
        prompt = options.query_prompt if role == "query" else options.passage_prompt
        common = {"model": self._model, "encoding_format": "float"}
        texts = [prompt + (item.text or "") for _, item in batch]
        _, first = batch[0]
        if not self._is_chat(first):
            # Servers refuse the empty string.
            return {**common, "input": [text or " " for text in texts]}
        content: list[dict[str, Any]] = []
        if first.clip is not None:
            data = base64.b64encode(wav_bytes(first.clip)).decode("ascii")
            content.append({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})
        if texts[0] or not content:
            content.append({"type": "text", "text": texts[0] or " "})
        return {**common, "messages": [{"role": "user", "content": content}]}

    def _choose_model(self) -> tuple[str, str | None]:
        """The model to ask, and what the server says it was loaded from."""
        known = self._server.models()
        if self._options.model is not None:
            # A server may know a model by more names than it lists.
            return self._options.model, known.get(self._options.model)
        if len(known) != 1:
            url = self._options.base_url
            serves = f"serves {', '.join(known)}" if known else "lists no models"
            raise EmbedderError(f"{url} {serves}: name the one to use, as in {url}#MODEL")
        return next(iter(known.items()))

    def _hears(self) -> bool:
        rate = self._options.sampling_rate
        count = max(round(0.2 * rate), 1)
        noise = np.random.default_rng(0).normal(0, 0.001, count).astype(np.float32)
        tone = (0.25 * np.sin(2 * np.pi * 440 / rate * np.arange(count))).astype(np.float32)
        try:
            rows = [
                self._server.embed(
                    self._body([(0, EmbedInput(clip=Clip(sound, rate)))], "passage"), 1
                )
                for sound in (noise, tone)
            ]
        except EndpointError as error:
            if error.is_about_content:
                return False
            raise EmbedderError(
                f"{error}. It was sent a short sound: if it embeds text only, load it with the"
                " option audio=false"
            ) from error
        # A server that leaves the sound out gives one vector for both.
        of_noise, of_tone = map(unit_rows, rows)
        return not np.allclose(of_noise, of_tone, rtol=0, atol=1e-6)


def _label(batch: Batch) -> str:
    place, item = batch[0]
    if len(batch) > 1:
        return f"the texts among inputs {place} to {batch[-1][0]}"
    source = item.clip.source if item.clip is not None else None
    return f"input {place} ({source})" if source else f"input {place}"
