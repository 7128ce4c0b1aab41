"""PyTorch networks whose modules bear the originals' names.

    python -m tests.torch_checkpoints.originals

writes their logits to testdata/torch_checkpoints.npz.
"""

from __future__ import annotations

import itertools
import json

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tests import golden
from tests.torch_checkpoints import weights


class Top(torch.autograd.Function):
    """Ones where the largest scores are: all but `removed` of them."""

    @staticmethod
    def forward(ctx, scores, removed):
        mask = torch.ones_like(scores)
        mask.view(-1)[scores.flatten().sort()[1][:removed]] = 0
        return mask


class Masks:
    """What both kinds of masked layers share.

    Attributes:
        k: Density; `None` for a layer without scores.
        k_min: Least density of HARP; `None` for HYDRA.
        channels: Whether input channels are masked.
    """

    k = None
    k_min = None
    channels = False

    def give_scores(self, k, k_min, channels):
        self.k, self.k_min, self.channels = k, k_min, channels
        shape = list(self.weight.shape)
        if channels:
            shape = [1, shape[1]] + [1] * (len(shape) - 2)
        self.popup_scores = nn.Parameter(torch.empty(shape))
        if k_min is not None:
            self.k_score = nn.Parameter(torch.empty([]))

    def masked(self):
        if self.k is None:
            return self.weight
        k = self.k
        if self.k_min is not None:
            k = torch.sigmoid(self.k_score) * (1 - self.k_min) + self.k_min
        scores = self.popup_scores.abs()
        if self.channels:
            kept = int(torch.round(k * scores.shape[1]))
            chosen = torch.topk(scores, kept, dim=1).indices
            mask = torch.zeros_like(scores)
            mask.transpose(0, 1)[chosen] = 1
            return self.weight * mask
        return self.weight * Top.apply(scores, int((1 - k) * scores.numel()))


class Conv(Masks, nn.Conv2d):
    def forward(self, x):
        return functional.conv2d(
            x, self.masked(), self.bias, self.stride, self.padding
        )


class Linear(Masks, nn.Linear):
    def forward(self, x):
        return functional.linear(x, self.masked(), self.bias)


def convnet(channels, size, convs, units, classes):
    """Convolutions, then dense layers, in one `Sequential`."""
    modules = []
    for filters, kernel, stride in convs:
        modules += [Conv(channels, filters, kernel, stride, 1), nn.ReLU()]
        channels, size = filters, size // stride
    modules.append(nn.Flatten())
    inputs = channels * size**2
    for outputs in units:
        modules += [Linear(inputs, outputs), nn.ReLU()]
        inputs = outputs
    return nn.Sequential(*modules, Linear(inputs, classes))


TWO = ((16, 4, 2), (32, 4, 2))
FOUR = ((32, 3, 1), (32, 4, 2), (64, 3, 1), (64, 4, 2))


class Sum(nn.Module):
    """The sum of what modules make of the last inputs."""

    def __init__(self, *modules):
        super().__init__()
        self.Ws = nn.ModuleList(modules)

    def forward(self, *xs):
        xs = xs[-len(self.Ws) :]
        pairs = zip(self.Ws, xs, strict=True)
        return sum(module(x) for module, x in pairs if module is not None)


class Residual(nn.Sequential):
    """Modules that may read the outputs of those before the last, too."""

    def forward(self, x):
        outputs = [x]
        for module in self:
            inputs = outputs if isinstance(module, Sum) else outputs[-1:]
            outputs.append(module(*inputs))
        return outputs[-1]


def cifar_model_resnet(classes):
    modules = [Conv(3, 16, 3, 1, 1), nn.ReLU()]
    before = 16
    for filters, units in ((16, 6), (32, 5), (64, 5)):
        for unit in range(units):
            step = 2 if filters > 16 and unit == 0 else 1
            modules += [
                Sum(Conv(before, filters, 2 + step, step, 1)),
                nn.ReLU(),
                Sum(
                    Conv(before, filters, step, step),
                    None,
                    Conv(filters, filters, 3, 1, 1),
                ),
                nn.ReLU(),
            ]
            before = filters
    return Residual(
        *modules,
        nn.Flatten(),
        Linear(64 * 8 * 8, 1000),
        nn.ReLU(),
        Linear(1000, classes),
    )


class VGG(nn.Module):
    def __init__(self, blocks, batch_norm, classes):
        super().__init__()
        modules, before = [], 3
        for filters in blocks:
            if filters is None:
                modules.append(nn.MaxPool2d(2))
                continue
            modules.append(Conv(before, filters, 3, 1, 1, bias=False))
            modules += [nn.BatchNorm2d(filters)] if batch_norm else []
            modules.append(nn.ReLU())
            before = filters
        self.features = nn.Sequential(*modules)
        self.avgpool = nn.AdaptiveAvgPool2d(2)
        self.classifier = nn.Sequential(
            Linear(before * 4, 256),
            nn.ReLU(),
            Linear(256, 256),
            nn.ReLU(),
            Linear(256, classes),
        )

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


VGG4 = (64, 64, None, 128, 128, None)
VGG16 = (64, 64, None, 128, 128, None, *(256,) * 3, None, *(512,) * 3, None)
VGG16 += (512,) * 3


def conv3(before, filters, stride=1):
    return Conv(before, filters, 3, stride, 1, bias=False)


class BasicBlock(nn.Module):
    def __init__(self, before, filters, stride):
        super().__init__()
        self.conv1 = conv3(before, filters, stride)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = conv3(filters, filters)
        self.bn2 = nn.BatchNorm2d(filters)
        self.shortcut = nn.Sequential()
        if stride != 1 or before != filters:
            self.shortcut = nn.Sequential(
                Conv(before, filters, 1, stride, bias=False),
                nn.BatchNorm2d(filters),
            )

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + self.shortcut(x)).relu()


class ResNet18(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = conv3(3, 64)
        self.bn1 = nn.BatchNorm2d(64)
        widths = (64, 64, 128, 256, 512)
        for block, (before, filters) in enumerate(itertools.pairwise(widths)):
            units = nn.Sequential(
                BasicBlock(before, filters, 1 if block == 0 else 2),
                BasicBlock(filters, filters, 1),
            )
            setattr(self, f"layer{block + 1}", units)
        self.linear = Linear(512, classes)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        for block in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = block(x)
        return self.linear(functional.avg_pool2d(x, 4).flatten(1))


class Preactivated(nn.Module):
    def __init__(self, before, filters, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = conv3(before, filters, stride)
        self.bn2 = nn.BatchNorm2d(filters)
        self.conv2 = conv3(filters, filters)
        self.convShortcut = None
        if before != filters:
            self.convShortcut = Conv(before, filters, 1, stride, bias=False)

    def forward(self, x):
        activated = self.bn1(x).relu()
        y = self.conv2(self.bn2(self.conv1(activated)).relu())
        return y + (
            self.convShortcut(activated) if self.convShortcut is not None else x
        )


class Layer(nn.Module):
    """Units under the name `layer`."""

    def __init__(self, before, filters, stride, units):
        super().__init__()
        self.layer = nn.Sequential(
            Preactivated(before, filters, stride),
            *(Preactivated(filters, filters, 1) for _ in range(units - 1)),
        )

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    def __init__(self, depth, width, classes, sub_block=True):
        super().__init__()
        units = (depth - 4) // 6
        self.conv1 = conv3(3, 16)
        self.block1 = Layer(16, 16 * width, 1, units)
        if sub_block:
            # HYDRA's has it; nothing reads it.
            self.sub_block1 = Layer(16, 16 * width, 1, units)
        self.block2 = Layer(16 * width, 32 * width, 2, units)
        self.block3 = Layer(32 * width, 64 * width, 2, units)
        self.bn1 = nn.BatchNorm2d(64 * width)
        self.fc = Linear(64 * width, classes)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        x = functional.avg_pool2d(self.bn1(x).relu(), 8)
        return self.fc(x.flatten(1))


class Normalize(nn.Module):
    """Images less a mean, over a deviation, both kept as buffers."""

    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, x):
        return (x - self.mean) / self.std


# Functions of the number of classes.
NETWORKS = {
    "mnist_model": lambda n: convnet(1, 28, TWO, (100,), n),
    "mnist_model_large": lambda n: convnet(1, 28, FOUR, (512, 512), n),
    "cifar_model": lambda n: convnet(3, 32, TWO, (100,), n),
    "cifar_model_large": lambda n: convnet(3, 32, FOUR, (512, 512), n),
    "cifar_model_resnet": cifar_model_resnet,
    "vgg4": lambda n: VGG(VGG4, False, n),
    "vgg4_bn": lambda n: VGG(VGG4, True, n),
    "vgg16_bn": lambda n: VGG(VGG16, True, n),
    "resnet18": ResNet18,
    "wrn_28_1": lambda n: WideResNet(28, 1, n),
    "wrn_28_4": lambda n: WideResNet(28, 4, n),
}


def network(name, classes=10, k=None, k_min=None, channels=False):
    """Returns an original; with a density `k` its layers are masked."""
    made = NETWORKS[name](classes)
    if k is not None:
        for module in made.modules():
            if isinstance(module, Masks):
                module.give_scores(k, k_min, channels)
    return made.eval()


def with_weights(name, **arguments):
    """Returns `network` with the weights of `weights.drawn`."""
    made = network(name, **arguments)
    drawn = weights.drawn(shapes(made), arguments.get("k", 1.0))
    made.load_state_dict(
        {name: torch.from_numpy(np.array(each)) for name, each in drawn.items()}
    )
    return made


def shapes(made):
    """Returns the shapes of a state dict."""
    return {n: tuple(t.shape) for n, t in made.state_dict().items()}


def logits(made, images):
    """Returns the logits of images whose channels are last."""
    images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        return made(images).numpy()


def golden_values(name):
    """Returns what the golden file holds of a network."""
    made = with_weights(name, **weights.CASES[name])
    size = (28, 28, 1) if name.startswith("mnist") else (32, 32, 3)
    return {
        f"{name}/shapes": np.array(json.dumps(shapes(made))),
        f"{name}/logits": logits(made, weights.images(size)),
    }


if __name__ == "__main__":
    values = [golden_values(name) for name in weights.CASES]
    np.savez_compressed(
        golden.TESTDATA / "torch_checkpoints.npz",
        **{key: value for each in values for key, value in each.items()},
    )
