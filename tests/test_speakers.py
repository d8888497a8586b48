"""Speaker encoder, diarisation and speakers of a knowledge base."""

import json

import numpy as np
import pytest

from wavrag import KnowledgeBase, Query, WavRAG
from wavrag.audio import SAMPLE_RATE, load
from wavrag.cli import main
from wavrag.demo import DATA
from wavrag.embed import SPAN_SAMPLES, SpeakerEncoder, diarise
from wavrag.embed.diarisation import cluster_windows, forward_backward, refine_labels
from wavrag.embed.speaker_encoder import mel_filters, mel_spectrogram
from wavrag.errors import InputError, StoreError
from wavrag.kb.passages import PendingPassage, content_hash
from wavrag.kb.speakers import NamedTurn, cut_passage, join_pieces, recognise_voices
from wavrag.types import Clip, Document, EmbedInput, Passage

INTERVIEW = DATA / "corpus" / "recordings" / "baker-interview.mp3"


def test_mel_filters_have_unit_area_on_the_scale_of_slaney():
    # `librosa.filters.mel(sr=16000, n_fft=400, n_mels=40)` has these values.
    filters = mel_filters()
    assert filters.shape == (201, 40)
    # Spacing of bins 40 Hz: the area of a triangle of height 2/width is 1.
    assert filters[:, 20:].sum(0) * 40 == pytest.approx(1.0, abs=0.05)
    # Bands below 1 kHz are equally wide.
    peaks = filters.argmax(0) * 40
    assert peaks[5] - peaks[3] == pytest.approx(peaks[9] - peaks[7], abs=40)


def test_a_tone_is_in_its_band():
    tone = np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    mels = mel_spectrogram(tone)
    assert mels.shape == (100, 40)
    band = mels[50].argmax()
    assert mel_filters()[:, band].argmax() * 40 == pytest.approx(1000, abs=60)


def test_level_and_batch_do_not_change_a_voice():
    samples = load(INTERVIEW).samples[SAMPLE_RATE : SAMPLE_RATE + SPAN_SAMPLES]
    encoder = SpeakerEncoder()
    pair = encoder.embed_spans([samples, samples * np.float32(0.1)])
    alone = encoder.embed_spans([samples])
    assert pair.shape == (2, 64)
    assert pair[0] @ pair[1] == pytest.approx(1.0, abs=1e-4)
    assert pair[0] @ alone[0] == pytest.approx(1.0, abs=1e-4)
    assert encoder.embed_spans([]).shape == (0, 64)


def test_clusters_are_those_of_a_slow_twin():
    random = np.random.default_rng(0)
    centres = np.eye(8, dtype=np.float32)[:3] * 2
    vectors = np.repeat(centres, 5, 0) + random.normal(0, 0.3, (15, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    groups = [[index] for index in range(15)]
    while True:
        pairs = [
            (np.mean([vectors[a] @ vectors[b] for a in first for b in second]), first, second)
            for i, first in enumerate(groups) for second in groups[:i]
        ]  # fmt: skip
        cosine, first, second = max(pairs, key=lambda pair: pair[0])
        if cosine < 0.55:
            break
        groups = [g for g in groups if g is not first and g is not second] + [first + second]
    labels = cluster_windows(vectors)
    found = {tuple(np.flatnonzero(labels == label)) for label in set(labels)}
    assert found == {tuple(sorted(group)) for group in groups}


def test_forward_backward_sums_over_all_paths():
    random = np.random.default_rng(1)
    likelihoods, priors = random.uniform(0.1, 1, (4, 2)), np.array([0.3, 0.7])
    stay = np.array([0.5, 0.9, 0.2, 0.6])
    posteriors = np.zeros((4, 2))
    for path in np.ndindex(2, 2, 2, 2):
        weight = priors[path[0]] * likelihoods[0, path[0]]
        for t in range(1, 4):
            same = path[t] == path[t - 1]
            weight *= (stay[t] * same + (1 - stay[t]) * priors[path[t]]) * likelihoods[t, path[t]]
        for t in range(4):
            posteriors[t, path[t]] += weight
    posteriors /= posteriors.sum(1, keepdims=True)
    result, draws = forward_backward(likelihoods, stay, priors)
    assert result == pytest.approx(posteriors)
    assert 1 <= draws.sum() <= 4


def test_a_speaker_without_need_is_removed():
    random = np.random.default_rng(2)
    means = np.zeros((2, 4))
    means[0, 0], means[1, 0] = 6, -6
    truth = np.repeat([0, 1], 40)
    vectors = (means[truth] + random.normal(0, 1, (80, 4))).astype(np.float32)
    start = np.repeat([0, 1, 2, 3], 20)  # twice as many clusters as speakers
    labels = refine_labels(vectors, start, np.full(80, 0.9), np.full(4, 9.0))
    assert len(set(labels)) == 2
    assert len(set(labels[:40])) == len(set(labels[40:])) == 1


def test_silence_has_no_speakers():
    result = diarise([np.zeros(SAMPLE_RATE, np.float32)], SpeakerEncoder())
    assert result.turns == ()
    assert result.voices.shape == (0, 64)


def pending(start, end, speaker=None, **fields):
    samples = np.arange(round(start * 100), round(end * 100), dtype=np.float32) / 1e5
    clip = Clip(samples, 100, start=start)
    passage = Passage("a", 0, start=start, end=end, speech=True, speaker=speaker, **fields)
    return PendingPassage(passage, EmbedInput("title", clip))


def spans(passages):
    return [(p.passage.start, p.passage.end, p.passage.speaker) for p in passages]


def test_a_passage_is_cut_before_the_first_word_of_a_turn():
    turns = [NamedTurn(0, 4, "Bo"), NamedTurn(4.1, 6, "Ada"), NamedTurn(8, 9, "Bo")]
    pieces = list(cut_passage(pending(1, 10), turns))
    # Half of a short pause, and .2 s of a long one.
    assert spans(pieces) == [(1, 4.05, "Bo"), (4.05, 7.8, "Ada"), (7.8, 10, "Bo")]
    samples = np.concatenate([piece.embed_input.clip.samples for piece in pieces])
    assert np.array_equal(samples, pending(1, 10).embed_input.clip.samples)
    assert spans(cut_passage(pending(20, 22), turns)) == [(20, 22, None)]


def test_short_pieces_of_a_turn_join():
    pieces = [
        pending(0, 2, "Ada"), pending(2, 8, "Bo"), pending(8, 9, "Bo"), pending(8.95, 11, "Bo"),
        pending(13, 14, "Bo"), pending(14, 20, "Bo"), pending(20, 26, "Bo"),
    ]  # fmt: skip
    joined = list(join_pieces(pieces))
    assert spans(joined) == [(0, 2, "Ada"), (2, 11, "Bo"), (13, 20, "Bo"), (20, 26, "Bo")]
    assert len(joined[1].embed_input.clip.samples) == 900
    assert len(list(join_pieces([pending(0, 1, "Ada"), pending(1, 2, "Ada", track=2)]))) == 2


def test_known_voices_are_recognised_once_each():
    voices = np.eye(3, dtype=np.float32)
    near = np.array([0.9, 0.436, 0], np.float32)
    assert recognise_voices(voices, {"Ada": near}) == {0: "Ada"}
    assert recognise_voices(voices, {"Ada": near, "Bo": voices[0]}) == {0: "Bo"}
    assert recognise_voices(voices, {}) == {}


def test_the_choice_of_speakers_indexes_recordings_again_but_not_texts(tmp_path):
    text, clip = Document("t", text="words"), Document("c", clip=Clip(np.zeros(9), 100))
    assert content_hash(text) == content_hash(text, speakers=True)
    assert content_hash(clip) != content_hash(clip, speakers=True)


@pytest.fixture(scope="module")
def interview(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speakers") / "kb"
    with KnowledgeBase.open(folder, embedder="fake") as kb:
        kb.add([Document("interview", path=str(INTERVIEW))], speakers=True)
    return folder


def test_speakers_of_a_recording(interview, capsys):
    with KnowledgeBase.open(interview) as kb:
        assert kb.finds_speakers
        assert kb.add([Document("interview", path=str(INTERVIEW))]).unchanged == ["interview"]
        speakers = kb.speakers("interview")
        assert [row.name for row in speakers] == ["speaker 1", "speaker 2"]
        passages = kb.passages("interview")
        assert [p.ordinal for p in passages] == list(range(len(passages)))
        total = sum(p.end - p.start for p in passages if p.speaker)
        assert sum(row.seconds for row in speakers) == pytest.approx(total)
    where = ["--where", "speaker = 'speaker 1'"]
    assert main(["search", "bread", "--kb", str(interview), *where]) == 0
    assert ", speaker 1\n" in capsys.readouterr().out
    assert main(["kb", "speakers", "interview", "--kb", str(interview), "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == [
        "speaker 1", "speaker 2",
    ]  # fmt: skip


def test_names_and_remembered_voices(interview, tmp_path, capsys):
    command = ["kb", "name-speaker", "interview", "speaker 2", "Ada", "--kb", str(interview)]
    with KnowledgeBase.open(interview) as kb:
        before = {row.passage.id: row.vector for row in kb.scan()}
        with pytest.raises(InputError, match="no speaker 'Eve': it has speaker 1, speaker 2"):
            kb.name_speaker("interview", "Eve", "Ada")
        assert kb.known_voices() == []
        assert not (interview / "voices.json").exists()
    assert main([*command, "--remember"]) == 0
    with KnowledgeBase.open(interview) as kb:
        assert [row.name for row in kb.speakers("interview")] == ["speaker 1", "Ada"]
        hits = kb.search(Query("bread", where="speaker = 'Ada'"))
        assert hits
        assert {hit.passage.speaker for hit in hits} == {"Ada"}
        assert kb.mentioned_speakers("what does ada say, and it's 'quoted'") == ["Ada"]
        assert kb.mentioned_speakers("what does Eve say?") == kb.mentioned_speakers("?") == []
        after = {row.passage.id: row.vector for row in kb.scan()}
        assert all(np.array_equal(before[key], after[key]) for key in before)
        assert kb.known_voices() == ["Ada"]
        # A later recording of the same voices.
        clip = load(INTERVIEW)
        kb.add([Document("later", clip=Clip(clip.samples[::-1][::-1], clip.sample_rate))])
        assert sorted(row.name for row in kb.speakers("later")) == ["Ada", "speaker 1"]
    assert main(["search", "what does Ada bake?", "--kb", str(interview)]) == 0
    assert "--where \"speaker = 'Ada'\" finds only" in capsys.readouterr().err
    assert main(["ask", "what does Ada bake?", "--kb", str(interview)]) == 0
    assert "--where \"speaker = 'Ada'\" finds only" in capsys.readouterr().err
    assert main(["kb", "forget-speaker", "Ada", "--kb", str(interview)]) == 0
    assert not (interview / "voices.json").exists()
    assert main(["kb", "forget-speaker", "Ada", "--kb", str(interview)]) == 1
    assert "the voice of Ada is not kept" in capsys.readouterr().err


def test_the_facade_keeps_the_choice(tmp_path):
    with WavRAG.open(tmp_path / "kb", embedder="fake") as rag:
        rag.add(Document("t", text="words"), speakers=True)
        assert rag.kb.finds_speakers
        rag.add(Document("t", text="words"))
        assert rag.kb.finds_speakers
        rag.add(Document("t", text="words"), speakers=False)
        assert not rag.kb.finds_speakers


def test_a_damaged_file_of_voices_is_reported(tmp_path):
    with KnowledgeBase.open(tmp_path, embedder="fake") as kb:
        (tmp_path / "voices.json").write_text("[]")
        with pytest.raises(StoreError, match="repair or delete it"):
            kb.known_voices()
