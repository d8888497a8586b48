"""Any embedder as a model of `mteb`, so that it runs the tasks of MTEB and MAEB.

    import mteb
    mteb.evaluate(MTEBModel("wavretriever-mini"), mteb.get_tasks(["ESC50"]))

Needs the extra `mteb`. Where a data set holds sound as paths or encoded, as a column of
`Audio(decode=False)` does, it is decoded here, and `torchcodec` is not needed.
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


class MTEBModel:
    """An encoder in the protocol of mteb (`mteb.models.EncoderProtocol`) around an embedder.

    A text and a sound in one row are one item. Sound that is longer than the embedder hears is cut
    at pauses, and its vector is the mean of the pieces', as that of a long question is in a
    knowledge base; the text goes with every piece.
    """

    def __init__(
        self,
        model_name: str | Embedder,
        revision: str | None = None,
        *,
        device: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Wrap an embedder, or that of a name.

        Args:
            model_name: an embedder, or its name as `load_embedder` takes it.
            revision: that it must have; None for any.
            device: not used; embedders choose theirs.
            kwargs: not used; mteb may pass more.

        Raises:
            EmbedderError: there is none of that name, or it has another revision.
        """
        self.embedder = load_embedder(model_name) if isinstance(model_name, str) else model_name
        spec = self.embedder.spec
        if revision not in (None, spec.revision):
            raise EmbedderError(
                f"{spec.name} has the revision {spec.revision!r}, not {revision!r}: ask for it"
            )

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """What mteb wants to know of a model; what an embedder's spec does not say is None."""
        spec = self.embedder.spec
        licence = spec.licence.lower()
        return ModelMeta(
            loader=None,
            name=f"wavrag/{re.sub(r'[^A-Za-z0-9._-]+', '-', spec.name)}",
            revision=spec.revision,
            release_date=None,
            languages=["eng-Latn"] if spec.languages == ("en",) else None,
            n_parameters=None,
            memory_usage_mb=None,
            max_tokens=None,
            embed_dim=spec.dim,
            license=licence if licence in get_args(Licenses) else None,
            open_weights=None,
            public_training_code=None,
            public_training_data=None,
            framework=[],
            similarity_fn_name="cosine",
            use_instructions=False,
            training_datasets=None,
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
            inputs: batches, each a mapping of `text` and `audio` to lists of a row's parts.
            task_metadata: of the task; not used, as prompts belong to the embedder.
            hf_split: not used.
            hf_subset: not used.
            prompt_type: `query` is embedded as a query, anything else as a passage.
            kwargs: not used; the loader has made the batches already.

        Returns:
            Unit rows, float32, shape = (n_rows, dim).

        Raises:
            EmbedderError: the embedder cannot take a part of a row.
            InputError: a row has neither text nor sound.
            AudioError: a recording cannot be decoded.
        """
        role: Role = "query" if prompt_type == PromptType.query else "passage"
        rows = [self._embed(batch, role) for batch in inputs]
        dim = self.embedder.spec.dim
        return np.concatenate(rows) if rows else np.empty((0, dim), np.float32)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines of all pairs, shape = (n_rows1, n_rows2)."""
        return cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines of rows that stand at the same place, shape = (n_rows,)."""
        return pairwise_cos_sim(embeddings1, embeddings2)

    def _embed(self, batch: Mapping[str, Any], role: Role) -> Float32:
        if seen := {"image", "video"} & set(batch):
            raise EmbedderError(f"{self.embedder.spec.name} embeds no {seen.pop()}: leave it out")
        sizes = [len(batch[key]) for key in ("text", "audio") if key in batch]
        if not sizes:
            raise InputError(f"a batch has neither text nor audio, but {', '.join(batch)}")
        texts: Sequence[str | None] = batch.get("text") or [None] * sizes[0]
        sounds: Sequence[Any] = batch.get("audio") or [None] * sizes[0]
        pieces = [self._pieces(*parts) for parts in zip(texts, sounds, strict=True)]
        vectors = self.embedder.embed([item for items in pieces for item in items], role)
        ends = np.cumsum([len(items) for items in pieces])
        means = [part.mean(0) for part in np.split(vectors, ends[:-1])]
        return unit_rows(np.stack(means))

    def _pieces(self, text: str | None, sound: Any) -> list[EmbedInput]:
        """A row as the items that it is embedded as: one, but for long sound."""
        text = text or None
        if sound is None:
            if text is None:
                raise InputError("a row of the task has neither text nor sound: leave it out")
            return [EmbedInput(text)]
        spec = self.embedder.spec
        if spec.sampling_rate is None:
            raise EmbedderError(f"{spec.name} embeds text only: use an embedder that hears")
        clip = clip_of(sound, spec.sampling_rate)
        if spec.max_audio_seconds is None or clip.duration <= spec.max_audio_seconds:
            return [EmbedInput(text, clip)]
        windows = audio.windows([clip.samples], clip.sample_rate, source=clip.source)
        return [EmbedInput(text, window) for window in windows]


def clip_of(sound: Any, sample_rate: int) -> Clip:
    """A cell of a column of sound as a clip at a rate in Hz.

    Args:
        sound: the path of a file; or its `bytes` or `path`, as `Audio(decode=False)` gives them; or
            `array` and `sampling_rate`, which a decoder of `datasets` answers to, too.
        sample_rate: Hz of the result.

    Raises:
        AudioError: the file cannot be decoded.
        InputError: the cell holds none of these.
    """
    if isinstance(sound, str):
        return audio.load(sound, sample_rate)
    if isinstance(sound, Mapping) and "array" not in sound:
        source = io.BytesIO(sound["bytes"]) if sound.get("bytes") else sound.get("path")
        if source is None:
            raise InputError(f"a cell of sound has neither array, bytes nor path: {list(sound)}")
        return audio.load(source, sample_rate)
    samples = as_float32(np.asarray(sound["array"]))
    if samples.ndim > 1:  # channels by samples
        samples = samples.mean(0)
    return audio.resample(Clip(samples, int(sound["sampling_rate"])), sample_rate)
