"""Flags of the conversion of a checkpoint."""

import pytest
from absl import flags

from flags import convert_flags

REQUIRED = ("--checkpoint=a.pth.tar", "--output_dir=out")


def parsed(*arguments):
    # What was parsed before is left out.
    for name in convert_flags.FLAGS:
        convert_flags.FLAGS[name].unparse()
    convert_flags.FLAGS(["binary", *arguments])
    return convert_flags.convert_from_flags()


def test_settings_arrive():
    settings = parsed(*REQUIRED)
    assert (settings.checkpoint, settings.output_dir) == ("a.pth.tar", "out")
    assert settings.model is None
    assert settings.images is None
    assert set(settings.arguments.values()) == {None}
    settings = parsed(
        *REQUIRED,
        "--model=wrn_28_4",
        "--density=0.05",
        "--mean=0.5,0.4,0.3",
        "--std=0.25,0.2,0.25",
        "--dataset=svhn_cropped",
    )
    assert settings.model == "wrn_28_4"
    assert settings.images.info.num_classes == 10
    assert settings.arguments["density"] == 0.05
    # In the order of the channels, none left out.
    assert settings.arguments["mean"] == [0.5, 0.4, 0.3]
    assert settings.arguments["std"] == [0.25, 0.2, 0.25]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (REQUIRED[:1], "--output_dir: is required"),
        (REQUIRED[1:], "--checkpoint: is required"),
        ((*REQUIRED, "--image_size=64"), "--image_size: is of --dataset"),
    ],
)
def test_what_is_missing_is_named(arguments, words):
    with pytest.raises(flags.ValidationError, match=words):
        parsed(*arguments)
