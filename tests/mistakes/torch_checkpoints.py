"""Checkpoints of PyTorch that are of another network, or read wrongly."""

import numpy as np

import hydra_tf as ht


def state(classes=3, **more):
    """The state dict of a mnist_model for images of 4x4x1."""
    shapes = {"0": (16, 1, 4, 4), "2": (32, 16, 4, 4)}
    shapes |= {"5": (100, 32), "7": (classes, 100)}
    arrays = {}
    for module, shape in shapes.items():
        arrays[f"{module}.weight"] = np.ones(shape, np.float32)
        arrays[f"{module}.bias"] = np.ones(shape[0], np.float32)
    return arrays | more


def scored(**more):
    return state(
        **{
            name.replace("weight", "popup_scores"): array
            for name, array in state().items()
            if name.endswith("weight")
        }
        | more
    )


def loaded(arrays=None, model="mnist_model", **arguments):
    """Returns a row's function."""
    arguments = {"input_shape": (4, 4, 1)} | arguments

    def mistake(given):
        ht.load_torch_checkpoint(
            state() if arrays is None else arrays, model, **arguments
        )

    return mistake


def without(name):
    arrays = state()
    del arrays[name]
    return arrays


PYTHON = {
    "torch_model_unknown": (
        loaded(model="vgg16bn"),
        ["`model` 'vgg16bn'", "Did you mean 'vgg16_bn'"],
    ),
    "torch_model_not_said": (
        loaded(model=None),
        ["`model` is required", "does not say it"],
    ),
    "torch_density_in_per_cent": (
        loaded(scored(), density=10),
        ["`density` must be a number in (0, 1]", "10 % is 0.1"],
    ),
    "torch_density_missing": (
        loaded(scored()),
        ["`density` is required", "give the --k of its run"],
    ),
    "torch_density_without_scores": (
        loaded(density=0.1),
        ["`density` is 0.1", "holds no scores", "leave it out"],
    ),
    "torch_min_density_without_rates": (
        loaded(scored(), density=0.1, min_density=0.01),
        ["`min_density` is for", "HARP", "leave it out"],
    ),
    "torch_other_classes": (
        loaded(num_classes=100),
        ["`num_classes` is 100", "a network of 3 classes"],
    ),
    "torch_other_images": (
        loaded(input_shape=(8, 8, 1)),
        ["another architecture", "'5.weight'", "(100, 32)", "(100, 128)"],
    ),
    "torch_other_architecture": (
        loaded(model="mnist_model_large"),
        ["another architecture", "'0.weight'", "(16, 1, 4, 4)"],
    ),
    "torch_key_missing": (
        loaded(without("2.bias")),
        ["another architecture", "no '2.bias'", "'0.weight' of shape"],
    ),
    "torch_key_too_many": (
        loaded(state(**{"9.weight": np.ones((3, 3), np.float32)})),
        ["another architecture", "'9.weight'"],
    ),
    "torch_nothing_dense": (
        loaded({"conv1.weight": np.ones((3, 3, 3, 3))}),
        ["no network that ends in a dense layer", "'conv1.weight'"],
    ),
    "torch_weights_nan": (
        loaded(state(**{"0.bias": np.full(16, np.nan, np.float32)})),
        ["'0.bias' holds values that are not finite"],
    ),
    "torch_mean_alone": (
        loaded(mean=[0.5]),
        ["`mean` and `std` go together"],
    ),
    "torch_mean_of_three_channels": (
        loaded(mean=[0.5] * 3, std=[0.2] * 3),
        ["`mean` and `std` must have 1 numbers", "Received: 3 and 3"],
    ),
    "torch_std_zero": (
        loaded(mean=[0.5], std=[0.0]),
        ["`std` must be numbers", "> 0"],
    ),
    "torch_file_missing": (
        lambda given: ht.load_torch_checkpoint("no.pth.tar", "mnist_model"),
        ["`checkpoint`=no.pth.tar does not exist", ".pth.tar"],
    ),
    "torch_file_of_another_kind": (
        lambda given: (
            (given.folder / "notes.txt").write_text("mine"),
            ht.load_torch_checkpoint(given.folder / "notes.txt", "mnist_model"),
        ),
        # Without PyTorch, that it is missing.
        ["`checkpoint`=", "notes.txt", "PyTorch"],
    ),
}

CONVERT = "convert --checkpoint={folder}/model_best.pth.tar --model=mnist_model"


def written(folder):
    (folder / "model_best.pth.tar").write_text("mine")


def trained(folder):
    written(folder)
    path = folder / "run" / "checkpoints" / "pretrain.keras"
    path.parent.mkdir(parents=True)
    path.write_text("mine")


COMMANDS = {
    "torch_command_without_a_file": ("convert", ["--checkpoint: is required"]),
    "torch_command_file_missing": (
        CONVERT,
        ["--checkpoint=", "model_best.pth.tar does not exist"],
    ),
    "torch_command_file_of_another_kind": (
        (written, CONVERT),
        ["--checkpoint=", "PyTorch"],
    ),
    "torch_command_model_unknown": (
        (written, CONVERT + " --model=vgg16bn"),
        ["--model=vgg16bn", "Did you mean 'vgg16_bn'"],
    ),
    "torch_command_density_in_per_cent": (
        (written, CONVERT + " --density=10"),
        ["--density=10", "10 % is 0.1"],
    ),
    "torch_command_classes_of_the_dataset": (
        (written, CONVERT + " --num_classes=100"),
        ["--num_classes=100", "--dataset=digits, 10", "leave it out"],
    ),
    "torch_command_folder_of_a_run": (
        (trained, CONVERT),
        ["--output_dir=", "holds a training run"],
    ),
}
