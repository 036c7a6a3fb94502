"""The constants of the study, each with its source. Not settings: changing one makes another experiment.

"The paper" is A. A. Wijaya, I. Yasmina, A. Zahra. Indonesian Music Emotion Recognition Based on Audio with Deep Learning
Approach. Adv. Sci. Technol. Eng. Syst. J. 6(2), 716-721, 2021. doi:10.25046/aj060283.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from datasets.methods.messages import N_

Input = Literal["full", "clips", "whole"]
Recipe = Literal["robust", "paper"]


CLIP_S = 45.0  # section 3.3


@dataclass(frozen=True)
class SpectrogramParams:
    """Algorithm 1 of the paper, with what it leaves unsaid stated.

    The input is which samples become pictures: `full`, the first 256 x 4096 (Algorithm 1, taken literally); `clips`, consecutive clips of
    45 s (section 3.3); `whole`, consecutive windows of 256 x 4096 over the entire track (what the paper says "full song" means).

    A recipe is how decibels become grey levels: `paper` stretches each picture between its lowest and highest value,
    `robust` first clamps it to the loudest 80 dB, so that one near-silent cell cannot set the scale.
    """

    input: Input = "full"
    recipe: Recipe = "robust"
    sr: int = 22_050  # Hz; librosa's default rate, which the paper does not change
    n_mels: int = 128  # Algorithm 1
    hop_length: int = 4096  # Algorithm 1
    time_steps: int = 256  # Algorithm 1
    # Not in the paper. librosa's default of 2048 would skip half of the samples at this hop; the known recipe that the
    # paper's wording follows uses twice the hop.
    n_fft: int = 8192
    log_floor: float = 1e-9  # the same recipe: log(S + 1e-9)
    clamp_db: float = 80.0  # robust only; librosa's power_to_db default

    @property
    def window_samples(self) -> int:
        """Samples of one picture: 256 steps of 4096 (47.55 s), or those of a clip."""
        return int(CLIP_S * self.sr) if self.input == "clips" else self.time_steps * self.hop_length

    @property
    def columns(self) -> int:
        """Columns with sound in them: all 256, or 243 of a clip (a centred transform of 45 s); the others are silent (white)."""
        return 1 + self.window_samples // self.hop_length if self.input == "clips" else self.time_steps

    @property
    def window_s(self) -> float:
        return self.window_samples / self.sr

    @property
    def enough_samples(self) -> float:
        """Samples from which on a picture is made: all of it; of a clip those of its columns, of the last window of a song one half."""
        size = self.window_samples
        return {"full": size, "clips": (self.columns - 1) * self.hop_length, "whole": size / 2}[self.input]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class TrainingParams:
    """How a network is trained; every value is stored on the run."""

    network: str = "cnn"
    epochs: int = 30
    batch_size: int = 16
    learning_rate: float = 1e-3  # Adam's default; the paper names Adam and no rate
    patience: int = 10  # epochs without a better validation loss before training stops
    # The paper names dropout and no share; with 0.5 the CRNN does not leave chance within 30 epochs on 100 tracks.
    dropout: float = 0.2
    class_weights: bool = True
    shuffle_labels: bool = False  # a control: learned from shuffled labels, nothing can be better than chance
    vote_shares: bool = (
        False  # learn from how the raters' votes are shared, not from the settled label alone; linear models always do
    )
    seed: int = 1
    # Pictures and their answers are blended two by two, by a share drawn from Beta(mixup, mixup) (H. Zhang et al., mixup, ICLR 2018); 0: not.
    mixup: float = 0.0
    # For the ablations of `cnn` and `crnn`: layers of convolutions, and what their filters are multiplied by; None: the table's.
    depth: int | None = None
    width: float | None = None
    # auto: bfloat16 inside the layers of `cnn` and `crnn` where the processor has instructions for it, else float32; the run's environment says which.
    precision: str = "auto"
    # Which drawing of the folds: 1, the release's own; others are drawn from it, for k-fold repeated.
    draw: int = 1

    @classmethod
    def of(cls, network: str, **values: Any) -> "TrainingParams":
        """The defaults for a network, but for the values that are given; None is not given.

        The tens of millions of weights of Tables 2 and 3 do not survive Adam's own rate.
        """
        usual = {"cnn": {"learning_rate": 1e-4}, "crnn": {"learning_rate": 1e-4}, "compact-crnn": {"mixup": 0.2}}
        chosen = {name: value for name, value in values.items() if value is not None}
        return cls(network=network, **usual.get(network, {}) | chosen)

    def as_dict(self) -> dict[str, Any]:
        """As stored on a run: all of them, so that a default that is changed later changes no run from before."""
        return asdict(self)


CHOICES = (  # what command, page and API let a person choose of a training, beside the network
    "epochs", "seed", "vote_shares", "shuffle_labels", "batch_size", "learning_rate", "dropout", "depth", "width", "mixup", "precision",
)  # fmt: skip
PRECISIONS = {"auto": N_("What the processor has"), "float32": "float32", "bfloat16": "bfloat16"}
NETWORKS: dict[str, str] = {
    "ensemble": N_("Ensemble: features and MusiCNN, or runs of choice"),
    "features": N_("Hand-made features, linear model"),
    "transfer": N_("MusiCNN embeddings, linear model"),
    "compact": N_("Compact CNN: global pooling, random masks"),
    "compact-crnn": N_("Compact CRNN: small convolutions and a GRU, random masks, mixup"),
    "cnn": N_("CNN (Table 2)"),
    "crnn": N_("CRNN (after Table 3, reading A)"),
    "mel": N_("Mel means, linear model: a baseline"),
}
ENSEMBLE = ("features", "transfer")  # what an ensemble without chosen runs averages a model on each of
PICTURELESS = {"ensemble", "features", "transfer", "mel"}  # they hear the whole recording, not a picture of its beginning
INPUTS: dict[str, str] = {
    "full": N_("Full song: the first 47.55 s (Algorithm 1)"),
    "clips": N_("Clips of 45 s, pooled"),
    "whole": N_("The whole song in windows of 47.55 s, pooled"),
}
RECIPES: dict[str, str] = {"robust": N_("Robust: clamped to 80 dB"), "paper": N_("Paper: stretched to its own extremes")}
IMAGE_SHAPE = (128, 256)  # Algorithm 1: mel bands x time steps
INPUT_SHAPE = (126, 258)  # Tables 2 and 3; the picture is resized to it, as Keras' image loader does with target_size
N_SLICES = 6  # 258 = 6 x 43: the time steps that the CRNN reads one after the other

# What the paper reports, for pages that set our figures beside it (Tables 4 and 5; FACTS: 21 and 15 of 36 test tracks).
PAPER_TEST_ACCURACY = {"cnn": 15 / 36, "crnn": 21 / 36}
