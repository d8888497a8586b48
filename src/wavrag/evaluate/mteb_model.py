"""Adapter from embedders to models of `mteb`, for the tasks of MTEB and MAEB.

    import mteb
    mteb.evaluate(MTEBModel("wavretriever"), mteb.get_tasks(["ESC50"]))

Requires the extra `mteb`. Paths and encoded audio, as in a column of `Audio(decode=False)`, are
decoded here, without `torchcodec`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import numpy as np

from wavrag import audio
from wavrag.embed import Embedder, load_embedder, unit_rows
from wavrag.errors import EmbedderError, InputError, MissingExtraError
from wavrag.types import Clip, EmbedInput, Float32, Role, as_float32

try:
    from mteb.models.model_meta import ModelMeta
    from mteb.similarity_functions import cos_sim, pairwise_cos_sim
    from mteb.types import Licenses, PromptType
except ModuleNotFoundError:
    raise MissingExtraError("running the tasks of MTEB", "mteb") from None

UNKNOWN_FIELDS = (
    "loader", "release_date", "n_parameters", "memory_usage_mb", "max_tokens", "open_weights",
    "public_training_code", "public_training_data", "training_datasets",
)  # fmt: skip


class MTEBModel:
    """An embedder behind the encoder protocol of mteb (`mteb.models.EncoderProtocol`).

    Text and audio of a row are embedded together. Audio longer than the embedder's limit is cut at
    pauses into windows, each embedded with the row's text; the row's vector is their mean. A
    knowledge base treats long spoken queries in the same way.
    """

    def __init__(
        self,
        model_name: str | Embedder,
        revision: str | None = None,
        *,
        device: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Wrap an embedder.

        `device` and `kwargs` are ignored: embedders choose their device, and mteb may pass more.

        Raises:
            EmbedderError: there is no embedder of that name, or it has another revision.
        """
        self.embedder = load_embedder(model_name) if isinstance(model_name, str) else model_name
        spec = self.embedder.spec
        if revision not in (None, spec.revision):
            raise EmbedderError(
                f"{spec.name} has revision {spec.revision!r}, not {revision!r}: request that one"
            )

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """Metadata for mteb, from the embedder's spec; unknown fields are None."""
        spec = self.embedder.spec
        licence = spec.licence.lower()
        return ModelMeta(
            # mteb has no defaults for these.
            **dict.fromkeys(UNKNOWN_FIELDS),
            # mteb requires the form "organisation/model", and makes a folder of it for results.
            name=f"wavrag/{re.sub(r'[^A-Za-z0-9._-]+', '-', spec.name)}",
            revision=spec.revision,
            languages=["eng-Latn"] if spec.languages == ("en",) else None,
            embed_dim=spec.dim,
            # mteb validates licences against a fixed list.
            license=licence if licence in get_args(Licenses) else None,
            framework=[],
            similarity_fn_name="cosine",
            use_instructions=False,
            modalities=sorted(spec.modalities),
        )

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **kwargs: Any,
    ) -> Float32:
        """Embed the rows of a data loader.

        Args:
            inputs: batches: mappings from `text` and `audio` to one value per row.
            task_metadata: ignored: prompts belong to the embedder.
            hf_split: ignored.
            hf_subset: ignored.
            prompt_type: `query` embeds queries; any other value embeds passages.
            kwargs: ignored: the loader has already built the batches.

        Returns:
            Unit vectors, float32, shape = (n_rows, dim).

        Raises:
            EmbedderError: the embedder does not support the modality of a row.
            InputError: a row has neither text nor audio.
            AudioError: a recording cannot be decoded.
        """
        role: Role = "query" if prompt_type == PromptType.query else "passage"
        rows = [self._embed(batch, role) for batch in inputs]
        dim = self.embedder.spec.dim
        return np.concatenate(rows) if rows else np.empty((0, dim), np.float32)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Compute the cosine of every pair, shape = (n_rows1, n_rows2)."""
        return cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Compute the cosine of corresponding rows, shape = (n_rows,)."""
        return pairwise_cos_sim(embeddings1, embeddings2)

    def _embed(self, batch: Mapping[str, Any], role: Role) -> Float32:
        if extra_keys := {"image", "video"} & set(batch):
            modality = extra_keys.pop()
            raise EmbedderError(f"{self.embedder.spec.name} embeds no {modality}: leave it out")
        sizes = [len(batch[key]) for key in ("text", "audio") if key in batch]
        if not sizes:
            raise InputError(f"a batch has neither text nor audio, but {', '.join(batch)}")
        texts: Sequence[str | None] = batch.get("text") or [None] * sizes[0]
        cells: Sequence[Any] = batch.get("audio") or [None] * sizes[0]
        # One call for the whole batch, windows of all rows together: batches are faster than rows.
        inputs = [self._build_inputs(*row) for row in zip(texts, cells, strict=True)]
        vectors = self.embedder.embed([item for row in inputs for item in row], role)
        # Back from windows to rows: mean vectors, normalised again.
        ends = np.cumsum([len(row) for row in inputs])
        means = [rows.mean(0) for rows in np.split(vectors, ends[:-1])]
        return unit_rows(np.stack(means))

    def _build_inputs(self, text: str | None, cell: Any) -> list[EmbedInput]:
        """Build the inputs of a row: one, or one per window of long audio."""
        text = text or None
        if cell is None:
            if text is None:
                raise InputError("a row of the task has neither text nor audio: leave it out")
            return [EmbedInput(text)]
        spec = self.embedder.spec
        if spec.sampling_rate is None:
            raise EmbedderError(f"{spec.name} embeds text only: use an audio embedder")
        clip = load_cell(cell, spec.sampling_rate)
        if spec.max_audio_seconds is None or clip.duration <= spec.max_audio_seconds:
            return [EmbedInput(text, clip)]
        windows = audio.windows([clip.samples], clip.sample_rate, source=clip.source)
        return [EmbedInput(text, window) for window in windows]


def load_cell(cell: Any, sample_rate: int) -> Clip:
    """Load a cell of an audio column as a clip.

    Args:
        cell: path of a file; or a mapping with `bytes` or `path`, from `Audio(decode=False)`; or an
            object with the keys `array` and `sampling_rate`, such as a decoder of `datasets`.
        sample_rate: sample rate of the result in Hz.

    Raises:
        AudioError: the file cannot be decoded.
        InputError: the cell is none of these.
    """
    if isinstance(cell, str):
        return audio.load(cell, sample_rate)
    # A decoder of `datasets` supports `cell["array"]`, but is not a mapping.
    if isinstance(cell, Mapping) and "array" not in cell:
        source = io.BytesIO(cell["bytes"]) if cell.get("bytes") else cell.get("path")
        if source is None:
            raise InputError(f"an audio cell has neither array, bytes nor path: {list(cell)}")
        return audio.load(source, sample_rate)
    samples = as_float32(np.asarray(cell["array"]))
    if samples.ndim > 1:  # shape = (channels, samples)
        samples = samples.mean(0)
    return audio.resample(Clip(samples, int(cell["sampling_rate"])), sample_rate)
