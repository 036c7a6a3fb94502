"""The constants of the study, each with its source. Not settings: changing one makes another experiment.

"The paper" is A. A. Wijaya, I. Yasmina, A. Zahra. Indonesian Music Emotion Recognition Based on Audio with Deep Learning
Approach. Adv. Sci. Technol. Eng. Syst. J. 6(2), 716-721, 2021. doi:10.25046/aj060283.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from datasets.methods.messages import N_

SAMPLE_RATE = 22_050  # Hz; librosa's default rate, which the paper does not change
HOP = 4096  # samples; Algorithm 1
STEPS = 256  # columns of a picture; Algorithm 1


@dataclass(frozen=True)
class Input:
    """Which samples of a recording become pictures.

    words : for pages. source : where it is said. samples : of one picture. columns : those of its 256 that hold sound; the others are
    silent (white). enough : samples from which on a picture is made, filled up with silence where it takes more. every : all pictures of
    the recording one after the other, or the first alone.
    """

    words: str
    source: str
    samples: int
    columns: int
    enough: int
    every: bool


INPUTS: dict[str, Input] = {
    "full": Input(
        N_("Full song: the first 47.55 s (Algorithm 1)"),
        "Algorithm 1, taken literally: the first 256 x 4096 samples",
        samples=STEPS * HOP, columns=STEPS, enough=STEPS * HOP, every=False,
    ),
    "clips": Input(
        N_("Clips of 45 s, pooled"),
        "section 3.3: clips of 45 s. A centred transform of 45 s has 243 columns; a clip that lacks less than one hop (46 ms) still fills them",
        samples=45 * SAMPLE_RATE, columns=1 + 45 * SAMPLE_RATE // HOP, enough=45 * SAMPLE_RATE // HOP * HOP, every=True,
    ),
    "whole": Input(
        N_("The whole song in windows of 47.55 s, pooled"),
        "section 3.3: what the paper says that a full song means. The last window counts from one half of it on",
        samples=STEPS * HOP, columns=STEPS, enough=STEPS * HOP // 2, every=True,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """How decibels become grey levels. Each picture is then stretched from its own lowest to its own highest value, 0 to 255.

    words : for pages. source : where it is said. clamp_db : first, all that is more than this below the loudest cell is raised to it;
    None: nothing is, and one near-silent cell sets the scale.
    """

    words: str
    source: str
    clamp_db: float | None


RECIPES: dict[str, Recipe] = {
    "robust": Recipe(N_("Robust: clamped to 80 dB"), "librosa's power_to_db, top_db=80", clamp_db=80.0),
    "paper": Recipe(N_("Paper: stretched to its own extremes"), "Algorithm 1 and the known recipe of its wording: log(S + 1e-9), min-max", None),
}  # fmt: skip


def names_of(choices: Mapping[str, Input | Recipe]) -> dict[str, str]:
    """What pages call them."""
    return {name: choice.words for name, choice in choices.items()}


@dataclass(frozen=True)
class SpectrogramParams:
    """Algorithm 1 of the paper on an input, by a recipe, with what it leaves unsaid stated.

    Raises
    ------
    ValueError
        There is no such input, or no such recipe.
    """

    input: str = "full"
    recipe: str = "robust"
    sr: int = SAMPLE_RATE
    n_mels: int = 128  # Algorithm 1
    hop_length: int = HOP
    time_steps: int = STEPS
    # Not in the paper. librosa's default of 2048 would skip half of the samples at this hop; the known recipe that the
    # paper's wording follows uses twice the hop.
    n_fft: int = 8192
    log_floor: float = 1e-9  # the same recipe: log(S + 1e-9)

    def __post_init__(self) -> None:
        for name, choices in ((self.input, INPUTS), (self.recipe, RECIPES)):
            if name not in choices:
                raise ValueError(f"{name!r} is none of {', '.join(choices)}")

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> "SpectrogramParams":
        """Of what `as_dict` gave, which says more than is needed."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})

    @property
    def window_samples(self) -> int:
        return INPUTS[self.input].samples

    @property
    def columns(self) -> int:
        return INPUTS[self.input].columns

    @property
    def window_s(self) -> float:
        return self.window_samples / self.sr

    def as_dict(self) -> dict[str, Any]:
        """Everything that decides how a picture looks."""
        return asdict(self) | {"clamp_db": RECIPES[self.recipe].clamp_db, "scaling": "min-max of each picture, 0-255, dark is loud"}


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
    version: int = 1  # of the network's layers: runs of another one are no runs of this

    @classmethod
    def of(cls, network: str, **values: Any) -> "TrainingParams":
        """The defaults for a network, but for the values that are given; None is not given.

        The tens of millions of weights of Tables 2 and 3 do not survive Adam's own rate.
        """
        usual = {"cnn": {"learning_rate": 1e-4}, "crnn": {"learning_rate": 1e-4, "version": 2}, "compact-crnn": {"mixup": 0.2}}
        chosen = {name: value for name, value in values.items() if value is not None}
        return cls(network=network, **usual.get(network, {}) | chosen)

    def as_dict(self) -> dict[str, Any]:
        """As stored on a run: all of them, so that a default that is changed later changes no run from before.

        But for a first version, of which runs from before there were any say nothing.
        """
        return {name: value for name, value in asdict(self).items() if name != "version" or value > 1}


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
IMAGE_SHAPE = (128, 256)  # Algorithm 1: mel bands x time steps
INPUT_SHAPE = (126, 258)  # Tables 2 and 3; the picture is resized to it, as Keras' image loader does with target_size
N_SLICES = 6  # 258 = 6 x 43: the time steps that the CRNN reads one after the other

# What the paper reports, for pages that set our figures beside it (Table 4): tracks that were answered rightly, of 36. Its percentages fit no other n.
PAPER_TESTED = 36
PAPER_RIGHT = {"cnn": 15, "crnn": 21}
PAPER_MAJORITY = 0.432  # always "neutral", over all of its 361 songs
