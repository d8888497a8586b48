"""Programs that speak: flite, espeak-ng, festival."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tempfile
from functools import cached_property, partial

from wavrag.audio import load
from wavrag.speech.base import Style, louder, repitched
from wavrag.types import Clip


class _Program:
    """A program that says its version."""

    names_version: str

    @cached_property
    def revision(self) -> str:
        """Version of the program; empty if it cannot be had."""
        try:
            said = run([self.names_version, "--version"]).decode(errors="replace")
        except subprocess.CalledProcessError as error:  # flite says it and exits with 1
            said = error.stdout.decode(errors="replace")
        except (OSError, subprocess.SubprocessError):
            return ""
        found = re.search(r"\d+(\.\d+)+", said)
        return found[0] if found else ""


class Flite(_Program):
    """Carnegie Mellon's small synthesiser."""

    name = program = names_version = "flite"
    voices = ("kal16", "awb", "rms", "slt")
    default_voice = "rms"
    _fixed_pitch = ("rms",)  # a voice that does not take `f0_shift`

    def speak(self, text: str, voice: str, style: Style) -> Clip:
        """Say a text."""
        voice = style.voice or voice
        if voice in self._fixed_pitch:
            clip = repitched(partial(self._say, text, voice, 0.0), style.rate, style.pitch)
        else:
            clip = self._say(text, voice, style.pitch, style.rate)
        return louder(clip, style.energy)

    def _say(self, text: str, voice: str, pitch: float, rate: float) -> Clip:
        settings = ["--setf", f"duration_stretch={1 / rate:.2f}"]
        if pitch:
            settings += ["--setf", f"f0_shift={2 ** (pitch / 12):.3f}"]
        with tempfile.NamedTemporaryFile(suffix=".wav") as out:
            run(["flite", "-voice", voice, *settings, "-t", text, "-o", out.name])
            return load(out.name)


class Espeak(_Program):
    """A formant synthesiser: hard to follow, in as many voices as wanted."""

    name = "espeak"
    program = names_version = "espeak-ng"
    voices = tuple(
        f"{accent}+{timbre}"
        for accent in ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029")
        for timbre in ("m1", "m3", "m7", "f1", "f2", "f4", "Gene", "Annie")
    )
    default_voice = "en-us+f2"
    words_per_minute = 175  # its own pace
    steps_per_semitone = 6  # of its pitch, 0 to 99 around 50, as measured between 30 and 70

    def speak(self, text: str, voice: str, style: Style) -> Clip:
        """Say a text; pitch goes 8 semitones up and down."""
        pace = str(round(self.words_per_minute * style.rate))
        pitch = str(min(99, max(0, round(50 + self.steps_per_semitone * style.pitch))))
        command = ["espeak-ng", "-v", style.voice or voice, "-s", pace, "-p", pitch]
        return louder(load(io.BytesIO(run([*command, "--stdout", "--", text]))), style.energy)


class Festival(_Program):
    """Edinburgh's synthesiser."""

    name = "festival"
    program = "text2wave"
    names_version = "festival"
    voices = ("cmu_us_slt_arctic_hts", "kal_diphone", "ked_diphone")
    _hertz = 105.0  # of the diphone voices

    @property
    def revision(self) -> str:
        """Version of the program, and of the way it is asked for a pace."""
        return f"{super().revision}-2"

    @cached_property
    def default_voice(self) -> str:
        """The voice of `festvox-us-slt-hts` where it is installed, which is easiest to follow."""
        try:
            listed = run(["festival", "-b", "(print (voice.list))"]).decode(errors="replace")
        except (OSError, subprocess.SubprocessError):
            listed = ""
        known = re.findall(r"\w+", listed)
        return next((voice for voice in self.voices if voice in known), "kal_diphone")

    def speak(self, text: str, voice: str, style: Style) -> Clip:
        """Say a text."""
        voice = style.voice or voice
        if voice.endswith("_hts"):
            clip = repitched(partial(self._say_hts, text, voice), style.rate, style.pitch)
        else:
            clip = self._say(text, voice, style)
        return louder(clip, style.energy)

    def _say(self, text: str, voice: str, style: Style) -> Clip:
        settings = [f"(Parameter.set 'Duration_Stretch {1 / style.rate:.2f})"]
        if style.pitch:
            hertz = self._hertz * 2 ** (style.pitch / 12)
            settings.append(
                f"(set! int_lr_params '((target_f0_mean {hertz:.1f}) (target_f0_std 14)"
                " (model_f0_mean 170) (model_f0_std 34)))"
            )
        return _text2wave(text, voice, settings)

    def _say_hts(self, text: str, voice: str, rate: float) -> Clip:
        setting = f'(set! hts_engine_params (append hts_engine_params \'(("-r" {rate:.3f}))))'
        return _text2wave(text, voice, [setting])


def _text2wave(text: str, voice: str, settings: list[str]) -> Clip:
    evaluated = [part for code in (f"(voice_{voice})", *settings) for part in ("-eval", code)]
    with tempfile.NamedTemporaryFile(suffix=".wav") as out:
        run(["text2wave", *evaluated, "-o", out.name], text)
        return load(out.name)


def run(command: list[str], text: str | None = None) -> bytes:
    """What a program prints when it is given a text.

    Raises:
        OSError: it cannot be started.
        subprocess.SubprocessError: it fails, or takes longer than a minute.
    """
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        command,
        input=None if text is None else text.encode(),
        capture_output=True,
        check=True,
        timeout=60,
        env=environment,
    ).stdout
