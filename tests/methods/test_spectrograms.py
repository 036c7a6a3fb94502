import librosa
import numpy as np
import pytest
import soundfile

from datasets.methods import audio
from mer.errors import SpectrogramImpossible
from mer.methods import spectrograms
from mer.methods.params import INPUTS, RECIPES, SpectrogramParams

PARAMS = SpectrogramParams()


def music(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * PARAMS.sr)) / PARAMS.sr
    y = sum(np.sin(2 * np.pi * f * t * (1 + 0.01 * np.sin(t))) / (i + 1) for i, f in enumerate((110, 331, 1209, 4000)))
    return (0.2 * y + 0.02 * rng.standard_normal(t.size)).astype(np.float32)


def by_librosa(y: np.ndarray) -> np.ndarray:
    """The reference: librosa's own mel power spectrogram of the samples that count, 257 columns."""
    window = y[: PARAMS.window_samples]
    return librosa.feature.melspectrogram(
        y=window, sr=PARAMS.sr, n_fft=PARAMS.n_fft, hop_length=PARAMS.hop_length, n_mels=PARAMS.n_mels, pad_mode="constant"
    )


@pytest.fixture(scope="module")
def y() -> np.ndarray:
    return music(50)


def test_it_equals_librosa_on_the_same_samples(y):
    expected = by_librosa(y)
    S = spectrograms.mel_spectrogram(y, PARAMS)
    assert expected.shape == (128, 257) and S.shape == (128, 256)
    np.testing.assert_allclose(S, expected[:, :256], rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("recipe", ["paper", "robust"])
def test_the_picture_is_at_most_one_grey_level_from_the_plain_recipe(y, recipe):
    params = SpectrogramParams(recipe=recipe)
    S = by_librosa(y)[:, :256]
    level = 10 * np.log10(S.astype(np.float64) + 1e-9)
    if recipe == "robust":
        level = np.maximum(level, level.max() - 80)
    expected = 255 - (255 * (level - level.min()) / (level.max() - level.min())).astype(np.uint8)[::-1]
    picture = spectrograms.to_picture(spectrograms.mel_spectrogram(y, params), params)
    assert picture.shape == (128, 256) and picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - expected.astype(int)).max() <= 1


def test_only_the_first_47_55_seconds_count(y):
    assert pytest.approx(47.55, abs=0.01) == PARAMS.window_s
    longer = np.concatenate([y[: PARAMS.window_samples], music(5, seed=9)])
    np.testing.assert_array_equal(
        spectrograms.mel_spectrogram(longer, PARAMS), spectrograms.mel_spectrogram(y[: PARAMS.window_samples], PARAMS)
    )


def test_a_high_tone_is_drawn_above_a_low_one():
    t = np.arange(PARAMS.window_samples) / PARAMS.sr
    rows = []
    for frequency in (200, 6000):
        S = spectrograms.mel_spectrogram(np.sin(2 * np.pi * frequency * t).astype(np.float32), PARAMS)
        rows.append(int(spectrograms.to_picture(S, PARAMS).mean(axis=1).argmin()))
    assert rows[1] < rows[0]


def test_too_short_and_silent_tracks_are_refused_with_the_reason():
    with pytest.raises(SpectrogramImpossible, match=r"Too short: 47\.0 s"):
        spectrograms.mel_spectrogram(music(47), PARAMS)
    with pytest.raises(SpectrogramImpossible, match="Silent"):
        spectrograms.mel_spectrogram(np.zeros(PARAMS.window_samples, np.float32), PARAMS)


def test_a_png_reads_back_as_it_was(y):
    picture = spectrograms.to_picture(spectrograms.mel_spectrogram(y, PARAMS), PARAMS)
    np.testing.assert_array_equal(spectrograms.read_png(spectrograms.png(picture)), picture[None])


def test_the_whole_song_is_consecutive_windows_and_a_half_filled_last_one():
    params = SpectrogramParams(input="whole")
    y = music(2.6 * params.window_s)
    found = spectrograms.pictures(y, params)
    assert found.shape == (3, 128, 256)
    first = spectrograms.to_picture(spectrograms.mel_spectrogram(y, PARAMS), PARAMS)
    np.testing.assert_array_equal(found[0], first)
    assert (found[2][:, -80:] == 255).all() and not (found[2][:, :100] == 255).all()
    assert len(spectrograms.pictures(y[: int(2.4 * params.window_samples)], params)) == 2
    assert len(spectrograms.pictures(y[: int(0.6 * params.window_samples)], params)) == 1
    with pytest.raises(SpectrogramImpossible, match=r"23\.78 s are needed"):
        spectrograms.pictures(y[: int(0.4 * params.window_samples)], params)


def test_clips_are_45_seconds_in_243_columns_and_what_is_left_over_is_dropped():
    params = SpectrogramParams(input="clips")
    y = music(100)
    found = spectrograms.pictures(y, params)
    assert found.shape == (2, 128, 256)
    clip = y[45 * params.sr : 90 * params.sr]
    reference = librosa.feature.melspectrogram(
        y=clip, sr=params.sr, n_fft=params.n_fft, hop_length=params.hop_length, n_mels=params.n_mels, pad_mode="constant"
    )
    assert reference.shape[1] == params.columns == 243
    expected = spectrograms.to_picture(reference, params)
    assert np.abs(found[1][:, :243].astype(int) - expected.astype(int)).max() <= 1
    assert (found[:, :, 243:] == 255).all()
    with pytest.raises(SpectrogramImpossible, match=r"44\.95 s are needed"):
        spectrograms.pictures(music(44), params)


def test_a_clip_that_a_decoder_left_some_milliseconds_short_counts_where_it_fills_all_columns():
    params = SpectrogramParams(input="clips")
    y = music(90)
    found = spectrograms.pictures(y[: params.window_samples * 2 - 1018], params)
    assert len(found) == 2 and (found[1, :, 242] < 255).any(), "the last column has sound"
    assert len(spectrograms.pictures(y[: params.window_samples * 2 - 1019], params)) == 1


def test_windows_without_sound_are_left_out_and_pictures_are_kept_one_below_the_other():
    params = SpectrogramParams(input="clips")
    y = music(135)
    y[45 * params.sr : 90 * params.sr] = 0
    found = spectrograms.pictures(y, params)
    assert len(found) == 2
    np.testing.assert_array_equal(spectrograms.read_png(spectrograms.png(spectrograms.stacked(found))), found)


def test_an_input_or_a_recipe_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="'half' is none of full, clips, whole"):
        SpectrogramParams(input="half")
    with pytest.raises(ValueError, match="'loud' is none of robust, paper"):
        SpectrogramParams(recipe="loud")


@pytest.mark.parametrize("recipe", ["robust", "paper"])
def test_what_is_stored_says_how_the_picture_was_made_and_is_read_back(recipe):
    params = SpectrogramParams(input="clips", recipe=recipe)
    stored = params.as_dict()
    assert stored["clamp_db"] == (80.0 if recipe == "robust" else None) and stored["n_fft"] == 8192
    assert SpectrogramParams.stored(stored) == params
    assert SpectrogramParams.stored(stored | {"clamp_db": 80.0}) == params, "as rows of earlier versions hold it"


def test_each_input_and_recipe_names_its_source():
    assert (INPUTS["full"].samples, INPUTS["full"].columns) == (256 * 4096, 256)
    assert (INPUTS["clips"].samples, INPUTS["clips"].columns, INPUTS["clips"].enough) == (45 * 22_050, 243, 242 * 4096)
    assert INPUTS["whole"].enough == 128 * 4096 and INPUTS["whole"].every
    assert all(choice.source and choice.words for choice in (*INPUTS.values(), *RECIPES.values()))


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_the_picture_of_a_recording_that_was_brought_in_is_at_most_one_grey_level_from_that_of_librosa_load(tmp_path, rate):
    rng = np.random.default_rng(5)
    t = np.arange(50 * rate) / rate
    stereo = 0.1 * rng.standard_normal((t.size, 2)) * (1 + np.sin(t))[:, None] + 0.1 * np.sin(2 * np.pi * 440 * t)[:, None]
    stereo[:, 0] *= 8  # one channel is cut at full scale, and only then mixed with the other
    loud, plain = tmp_path / "loud.wav", tmp_path / "plain.wav"
    soundfile.write(loud, stereo, rate, subtype="FLOAT")
    soundfile.write(plain, np.clip(stereo, -1, 1), rate, subtype="PCM_16")
    audio.convert(loud, tmp_path / "wav", max_duration_s=60)
    with (tmp_path / "wav").open("rb") as file:
        picture = spectrograms.pictures(audio.read_wav(file), PARAMS)[0]
    y, _ = librosa.load(plain, sr=PARAMS.sr)
    expected = spectrograms.to_picture(by_librosa(y)[:, :256], PARAMS)
    assert np.abs(picture.astype(int) - expected).max() <= 1
