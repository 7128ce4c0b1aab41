"""Plain Keras networks: those that the originals prune, and newer families."""

from hydra_tf.models.by_name import create
from hydra_tf.models.by_name import names
from hydra_tf.models.by_name import register
from hydra_tf.models.convnext import convnext_tiny
from hydra_tf.models.mobilenet import mobilenet
from hydra_tf.models.mobilenet import mobilenet_half
from hydra_tf.models.normalized import normalized
from hydra_tf.models.resnet import resnet18
from hydra_tf.models.resnet import resnet18_narrow
from hydra_tf.models.resnet import resnet34
from hydra_tf.models.resnet import resnet50
from hydra_tf.models.resnet import resnet50_imagenet
from hydra_tf.models.small import cifar_model
from hydra_tf.models.small import cifar_model_large
from hydra_tf.models.small import cifar_model_resnet
from hydra_tf.models.small import digits_model
from hydra_tf.models.small import mnist_model
from hydra_tf.models.small import mnist_model_large
from hydra_tf.models.vgg import vgg2
from hydra_tf.models.vgg import vgg2_bn
from hydra_tf.models.vgg import vgg4
from hydra_tf.models.vgg import vgg4_bn
from hydra_tf.models.vgg import vgg8
from hydra_tf.models.vgg import vgg8_bn
from hydra_tf.models.vgg import vgg11
from hydra_tf.models.vgg import vgg11_bn
from hydra_tf.models.vgg import vgg11_bn_narrow
from hydra_tf.models.vgg import vgg13
from hydra_tf.models.vgg import vgg13_bn
from hydra_tf.models.vgg import vgg16
from hydra_tf.models.vgg import vgg16_bn
from hydra_tf.models.vit import digits_vit
from hydra_tf.models.vit import vit_tiny
from hydra_tf.models.wide_resnet import wrn_28_1
from hydra_tf.models.wide_resnet import wrn_28_4
from hydra_tf.models.wide_resnet import wrn_28_10
from hydra_tf.models.wide_resnet import wrn_34_10
from hydra_tf.models.wide_resnet import wrn_40_2

__all__ = [
    "cifar_model",
    "cifar_model_large",
    "cifar_model_resnet",
    "convnext_tiny",
    "create",
    "digits_model",
    "digits_vit",
    "mnist_model",
    "mnist_model_large",
    "mobilenet",
    "mobilenet_half",
    "names",
    "normalized",
    "register",
    "resnet18",
    "resnet18_narrow",
    "resnet34",
    "resnet50",
    "resnet50_imagenet",
    "vgg11",
    "vgg11_bn",
    "vgg11_bn_narrow",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg2",
    "vgg2_bn",
    "vgg4",
    "vgg4_bn",
    "vgg8",
    "vgg8_bn",
    "vit_tiny",
    "wrn_28_1",
    "wrn_28_10",
    "wrn_28_4",
    "wrn_34_10",
    "wrn_40_2",
]
