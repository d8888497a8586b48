"""Remote embedder: a model on another machine, over the OpenAI-compatible `/v1/embeddings`.

Texts are sent as `input`, in batches. Clips are sent as chat `messages` with an `input_audio` part,
the form of vLLM for multimodal embedding models. `messages` is a single conversation, so each clip
is a request of its own.

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

Batch = list[tuple[int, EmbedInput]]  # inputs with their index in the call


class RemoteEmbedder(Embedder, Closing):
    """Embeds on a server and scales the vectors to unit length.

    The constructor queries the model list, embeds a word to learn the dimensions, and embeds two
    short sounds to detect audio support: the model takes audio if the server accepts both sounds
    and returns different vectors.

    Raises:
        MissingExtraError: the `openai` package is not installed.
        EmbedderError: the server cannot be reached, rejects the key, lacks the model, or serves
            several models and the options name none.
    """

    def __init__(self, options: RemoteOptions) -> None:
        self._options = options
        self._server = RemoteServer(options)
        try:
            self._model, root = self._choose_model()
            dim = self._probe(EmbedInput(text="probe")).shape[1]
            takes_audio = self._probe_audio() if options.audio is None else options.audio
        except BaseException:  # also an interrupt: the probes may wait for a slow server
            self.close()
            raise
        modalities: set[Modality] = {"text", "audio"} if takes_audio else {"text"}
        self._spec = EmbedderSpec(
            name=options.name(self._model), revision=options.revision(self._model, root), dim=dim,
            modalities=frozenset(modalities),
            sampling_rate=options.sampling_rate if takes_audio else None,
            max_audio_seconds=options.max_audio_seconds if takes_audio else None, languages=(),
            licence="NOASSERTION",
        )  # fmt: skip

    @property
    def spec(self) -> EmbedderSpec:
        """Name, revision and capabilities; servers report neither languages nor licence."""
        return self._spec

    def close(self) -> None:
        """Close the connections to the server."""
        self._server.close()

    def embed(self, inputs: Sequence[EmbedInput], role: Role) -> Float32:
        """Embed texts in batches and clips one by one, with several requests at a time.

        Raises:
            EmbedderError: an input is outside the spec, or the server cannot be reached, rejects
                the request, or does not send one vector per input.
        """
        check_inputs(self._spec, inputs)
        batches = self._batches(inputs)
        rows = np.empty((len(inputs), self._spec.dim), np.float32)
        results = self._map(lambda batch: self._embed_batch(batch, role), batches)
        for batch, vectors in zip(batches, results, strict=True):
            rows[[index for index, _ in batch]] = vectors
        return unit_rows(rows)

    def _batches(self, inputs: Sequence[EmbedInput]) -> list[Batch]:
        rows = list(enumerate(inputs))
        chats = [[row] for row in rows if self._is_chat(row[1])]
        texts = [row for row in rows if not self._is_chat(row[1])]
        size = self._options.batch_size
        return [texts[at : at + size] for at in range(0, len(texts), size)] + chats

    def _map(self, function: Callable[[Batch], Float32], batches: list[Batch]) -> list[Float32]:
        # Threads, not asyncio: embedders are called from synchronous code.
        workers = min(self._options.concurrency, len(batches))
        if workers < 2:
            return [function(batch) for batch in batches]
        with ThreadPoolExecutor(workers, thread_name_prefix="wavrag-remote") as pool:
            return list(pool.map(function, batches))

    def _embed_batch(self, batch: Batch, role: Role) -> Float32:
        """Embed a batch; halve it as long as the server rejects it as too large."""
        try:
            vectors = self._server.embed(self._body(batch, role), len(batch))
        except EndpointError as error:
            if error.status == 413 and len(batch) > 1:
                half = len(batch) // 2
                halves = [
                    self._embed_batch(half_batch, role)
                    for half_batch in (batch[:half], batch[half:])
                ]
                return np.concatenate(halves)
            if error.status == 404 or not error.is_about_content:
                raise
            remedy = "shorten it, or raise the limit of the server"
            raise EmbedderError(f"{_label(batch)}: {error}: {remedy}") from error
        if vectors.shape[1] != self._spec.dim:
            raise EmbedderError(
                f"{self._options.base_url}: the server sent {vectors.shape[1]} dimensions instead"
                f" of {self._spec.dim}: its model has changed; load the embedder again"
            )
        return vectors

    def _is_chat(self, content: EmbedInput) -> bool:
        return content.clip is not None or self._options.text_as == "messages"

    def _body(self, batch: Batch, role: Role) -> dict[str, Any]:
        """Return the request body for a batch of texts, or for a single input as a chat."""
        options = self._options
        prompt = options.query_prompt if role == "query" else options.passage_prompt
        common = {"model": self._model, "encoding_format": "float"}
        texts = [prompt + (content.text or "") for _, content in batch]
        _, first = batch[0]
        if not self._is_chat(first):
            # Servers reject the empty string.
            return {**common, "input": [text or " " for text in texts]}
        content: list[dict[str, Any]] = []
        if first.clip is not None:
            data = base64.b64encode(wav_bytes(first.clip)).decode("ascii")
            content.append({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})
        if texts[0] or not content:
            content.append({"type": "text", "text": texts[0] or " "})
        return {**common, "messages": [{"role": "user", "content": content}]}

    def _choose_model(self) -> tuple[str, str | None]:
        """Return the model to use and its `root` on the server."""
        models = self._server.models()
        if self._options.model is not None:
            # A server may accept aliases of a model beside the listed names.
            return self._options.model, models.get(self._options.model)
        if len(models) != 1:
            url = self._options.base_url
            serves = f"serves {', '.join(models)}" if models else "lists no models"
            raise EmbedderError(f"{url} {serves}: name one of them, as in {url}#MODEL")
        return next(iter(models.items()))

    def _probe(self, content: EmbedInput) -> Float32:
        return self._server.embed(self._body([(0, content)], "passage"), 1)

    def _probe_audio(self) -> bool:
        rate = self._options.sampling_rate
        # Two sounds of 0.2 s with different spectra and levels.
        count = max(round(0.2 * rate), 1)
        noise = np.random.default_rng(0).normal(0, 0.001, count).astype(np.float32)
        tone = (0.25 * np.sin(2 * np.pi * 440 / rate * np.arange(count))).astype(np.float32)
        try:
            rows = [self._probe(EmbedInput(clip=Clip(sound, rate))) for sound in (noise, tone)]
        except EndpointError as error:
            if error.is_about_content:
                return False
            raise EmbedderError(
                f"{error}. The request was an audio probe: if the model embeds text only, set the"
                " option audio=false"
            ) from error
        # A server that ignores the audio part returns the same vector for both.
        noise_row, tone_row = map(unit_rows, rows)
        return not np.allclose(noise_row, tone_row, rtol=0, atol=1e-6)


def _label(batch: Batch) -> str:
    first, content = batch[0]
    if len(batch) > 1:
        return f"the texts among inputs {first} to {batch[-1][0]}"
    source = content.clip.source if content.clip is not None else None
    return f"input {first} ({source})" if source else f"input {first}"
