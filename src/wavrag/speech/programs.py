"""Engines that run a program: flite, espeak-ng, festival."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tempfile
from functools import cached_property, partial

from wavrag.audio import load
from wavrag.speech.base import Style, apply_gain, shift_pitch
from wavrag.types import Clip


class _Program:
    """A program with a version."""

    version_program: str
    package: str  # of Debian, with the program and a voice

    @cached_property
    def revision(self) -> str:
        """Version of the program; empty if unknown."""
        try:
            output = run([self.version_program, "--version"]).decode(errors="replace")
        except subprocess.CalledProcessError as error:  # flite prints it and exits with 1
            output = error.stdout.decode(errors="replace")
        except (OSError, subprocess.SubprocessError):
            return ""
        match = re.search(r"\d+(\.\d+)+", output)
        return match[0] if match else ""


class Flite(_Program):
    """Small synthesiser of Carnegie Mellon University."""

    name = program = version_program = package = "flite"
    voices = ("kal16", "awb", "rms", "slt")
    default_voice = "rms"
    _fixed_pitch = ("rms",)  # voices without `f0_shift`

    def speak(self, text: str, voice: str, style: Style) -> Clip:
        """Speak a text."""
        voice = style.voice or voice
        if voice in self._fixed_pitch:
            clip = shift_pitch(partial(self._speak, text, voice, 0.0), style.rate, style.pitch)
        else:
            clip = self._speak(text, voice, style.pitch, style.rate)
        return apply_gain(clip, style.energy)

    def _speak(self, text: str, voice: str, pitch: float, rate: float) -> Clip:
        settings = ["--setf", f"duration_stretch={1 / rate:.2f}"]
        if pitch:
            settings += ["--setf", f"f0_shift={2 ** (pitch / 12):.3f}"]
        with tempfile.NamedTemporaryFile(suffix=".wav") as out:
            run(["flite", "-voice", voice, *settings, "-t", text, "-o", out.name])
            return load(out.name)


class Espeak(_Program):
    """Formant synthesiser: hard to understand, but with many voices."""

    name = "espeak"
    program = version_program = package = "espeak-ng"
    voices = tuple(
        f"{accent}+{timbre}"
        for accent in ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029")
        for timbre in ("m1", "m3", "m7", "f1", "f2", "f4", "Gene", "Annie")
    )
    default_voice = "en-us+f2"
    words_per_minute = 175  # default tempo
    steps_per_semitone = 6  # of the pitch scale 0 to 99, measured between 30 and 70

    def speak(self, text: str, voice: str, style: Style) -> Clip:
        """Speak a text; the pitch range is 8 semitones up and down."""
        pace = str(round(self.words_per_minute * style.rate))
        pitch = str(min(99, max(0, round(50 + self.steps_per_semitone * style.pitch))))
        command = ["espeak-ng", "-v", style.voice or voice, "-s", pace, "-p", pitch]
        return apply_gain(load(io.BytesIO(run([*command, "--stdout", "--", text]))), style.energy)


class Festival(_Program):
    """Synthesiser of the University of Edinburgh."""

    name = "festival"
    program = "text2wave"
    version_program = "festival"
    package = "festival festvox-us-slt-hts"
    voices = ("cmu_us_slt_arctic_hts", "kal_diphone", "ked_diphone")
    _hertz = 105.0  # mean pitch of the diphone voices

    @property
    def revision(self) -> str:
        """Version of the program, and of the tempo settings below."""
        return f"{super().revision}-2"

    @cached_property
    def default_voice(self) -> str:
        """The voice of `festvox-us-slt-hts` if installed: it has the lowest word error rate."""
        try:
            output = run(["festival", "-b", "(print (voice.list))"]).decode(errors="replace")
        except (OSError, subprocess.SubprocessError):
            output = ""
        names = re.findall(r"\w+", output)
        return next((voice for voice in self.voices if voice in names), "kal_diphone")

    def speak(self, text: str, voice: str, style: Style) -> Clip:
        """Speak a text."""
        voice = style.voice or voice
        if voice.endswith("_hts"):
            clip = shift_pitch(partial(self._speak_hts, text, voice), style.rate, style.pitch)
        else:
            clip = self._speak(text, voice, style)
        return apply_gain(clip, style.energy)

    def _speak(self, text: str, voice: str, style: Style) -> Clip:
        settings = [f"(Parameter.set 'Duration_Stretch {1 / style.rate:.2f})"]
        if style.pitch:
            hertz = self._hertz * 2 ** (style.pitch / 12)
            settings.append(
                f"(set! int_lr_params '((target_f0_mean {hertz:.1f}) (target_f0_std 14)"
                " (model_f0_mean 170) (model_f0_std 34)))"
            )
        return _text2wave(text, voice, settings)

    def _speak_hts(self, text: str, voice: str, rate: float) -> Clip:
        setting = f'(set! hts_engine_params (append hts_engine_params \'(("-r" {rate:.3f}))))'
        return _text2wave(text, voice, [setting])


def _text2wave(text: str, voice: str, settings: list[str]) -> Clip:
    arguments = [item for code in (f"(voice_{voice})", *settings) for item in ("-eval", code)]
    with tempfile.NamedTemporaryFile(suffix=".wav") as out:
        run(["text2wave", *arguments, "-o", out.name], text)
        return load(out.name)


def run(command: list[str], text: str | None = None) -> bytes:
    """Run a program with a text as its input, and return its output.

    Raises:
        OSError: it cannot be started.
        subprocess.SubprocessError: it fails, or takes longer than a minute.
    """
    # Without UTF-8, programs misread all letters beyond ASCII.
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        command, input=None if text is None else text.encode(), capture_output=True, check=True,
        timeout=60, env=environment,
    ).stdout  # fmt: skip
