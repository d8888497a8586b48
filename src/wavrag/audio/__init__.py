"""Audio: decode any format, resample, detect speech, cut at pauses, encode. No retrieval models."""

from wavrag.audio.augmentation import TELEPHONE_BAND, Augmentation, add_noise, reverberate
from wavrag.audio.decode import load, stream
from wavrag.audio.describe import describe_clip, describe_sound, mean_level, measure_level
from wavrag.audio.encoding import AudioFormat, encode, media_type
from wavrag.audio.mixer import Mixer
from wavrag.audio.prosody import Prosody, measure_prosody
from wavrag.audio.recording import Recording, RecordingWindow, inspect_recording, split_recording
from wavrag.audio.resampling import SAMPLE_RATE, resample
from wavrag.audio.source import AUDIO_SUFFIXES, is_recording, open_audio
from wavrag.audio.vad import VAD_FRAME, VAD_MODEL, VoiceDetector
from wavrag.audio.windows import frames as vad_frames
from wavrag.audio.windows import windows
from wavrag.audio.write import wav_bytes, write_wav

__all__ = [
    "AUDIO_SUFFIXES", "SAMPLE_RATE", "TELEPHONE_BAND", "VAD_FRAME", "VAD_MODEL", "AudioFormat",
    "Augmentation",
    "Mixer", "Prosody", "Recording", "RecordingWindow", "VoiceDetector", "add_noise",
    "describe_clip", "describe_sound", "encode", "inspect_recording", "is_recording", "load",
    "mean_level", "measure_level", "measure_prosody", "media_type", "open_audio", "resample",
    "reverberate", "split_recording", "stream", "vad_frames", "wav_bytes",
    "windows", "write_wav",
]  # fmt: skip
