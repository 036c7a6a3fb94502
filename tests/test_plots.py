"""Coordinates of the plots."""

import librosa
import pytest

from mer import plots
from mer.methods.params import SpectrogramParams


def test_frequencies_stand_where_librosa_has_them():
    axes = plots.spectrogram_axes(SpectrogramParams())
    for tick, hertz in zip(axes["hertz"], (0, 500, 1000, 2000, 4000, 11025), strict=True):
        assert tick.share == pytest.approx(100 * librosa.hz_to_mel(hertz) / librosa.hz_to_mel(11025), abs=0.01)
    assert [tick.text for tick in axes["seconds"]] == ["0 s", "10 s", "20 s", "30 s", "47.55 s"]
