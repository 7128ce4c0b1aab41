"""Networks and layers that cannot be masked as asked for."""

import keras
import numpy as np
import tensorflow as tf

import hydra_tf as ht

layers = keras.layers


def renamed(network):
    network.layers[1].name = "block/first"
    return network


class Scaled(layers.Layer):
    """A layer with weights that nothing is known of."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=input_shape[1:], name="scale")

    def call(self, inputs):
        return inputs * self.scale


class Registered(Scaled):
    """One that is registered with a weight that it does not have."""


def unknown(*names):
    image = keras.Input((4, 4, 1))
    x = image
    for name in names:
        x = Scaled(name=name)(x)
    return keras.Model(image, layers.Dense(3, name="last")(layers.Flatten()(x)))


def ends_in(operation):
    image = keras.Input((4, 4, 1))
    logits = layers.Dense(3)(layers.Flatten()(image))
    return keras.Model(image, operation(logits))


def of_several(inputs=1, outputs=1):
    images = [keras.Input((4, 4, 1)) for _ in range(inputs)]
    x = layers.Flatten()(layers.Add()(images) if inputs > 1 else images[0])
    logits = [layers.Dense(3)(x) for _ in range(outputs)]
    return keras.Model(
        images if inputs > 1 else images[0],
        logits if outputs > 1 else {"logits": logits[0]},
    )


def frozen(network):
    network.trainable = False
    return network


def fit(given, network):
    given.robust(network).fit(given.images, given.labels, verbose=0)


def in_scope_of_another(given):
    masked = ht.to_masked(given.network())
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        given.robust(masked)


class Subclassed(keras.Model):
    """TensorFlow's own functions do not show what they do."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, inputs):
        return tf.abs(self.dense(inputs))


class NotCopied(Subclassed):
    def __init__(self, dense):
        super().__init__()
        self.dense = dense


def not_copied():
    model = NotCopied(layers.Dense(3))
    model(np.zeros((1, 4), "float32"))
    return model


class ReadElsewhere(layers.Dense):
    """A subclass that does not read its kernel where masks are."""

    def call(self, inputs):
        return inputs @ self._kernel + self.bias


class ReadFromList(Scaled):
    """A registered layer that reads its weight from a list."""

    def build(self, input_shape):
        super().build(input_shape)
        self.all = [self.scale]

    def call(self, inputs):
        return inputs * self.all[0]


ht.register_maskable(ReadFromList, ["scale"])


def registered(weights):
    ht.register_maskable(Registered, weights)
    ht.to_masked(keras.Sequential([keras.Input((4, 4)), Registered()]))


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 4), "float32"))
    return model


class NoPlainClass(ht.layers.MaskedLayer, layers.Dense):
    plain_class = layers.Conv2D


def masked_layer(**settings):
    return ht.layers.MaskedDense(3, **settings)


def own_network(input_shape, num_classes, last=lambda logits: logits):
    image = keras.Input(input_shape)
    x = Scaled(name="one")(image)
    x = Scaled(name="two")(x)
    logits = layers.Dense(num_classes)(layers.Flatten()(x))
    return keras.Model(image, last(logits))


def own_softmax(input_shape, num_classes):
    return own_network(input_shape, num_classes, keras.ops.softmax)


def own_slash(input_shape, num_classes):
    return renamed(own_network(input_shape, num_classes))


def own_frozen(input_shape, num_classes):
    return frozen(own_network(input_shape, num_classes))


def lora(network):
    network.get_layer("first").enable_lora(2)
    return network


# Name: what is done, given a `Given`; and the words of its error.
PYTHON = {
    "conversion_of_no_model": (
        lambda given: ht.to_masked("network.keras"),
        ["`model` must be a Keras model", "Received: str"],
    ),
    "conversion_of_a_layer": (
        lambda given: ht.to_masked(layers.Dense(3)),
        ["`model` must be a Keras model", "Received: Dense"],
    ),
    "conversion_of_a_subclassed_model_to_channels": (
        lambda given: ht.to_masked(subclassed(), granularity="channel"),
        ["needs the graph", "layers and keras.ops", "Received: Subclassed"],
    ),
    "conversion_of_a_subclassed_model_to_shrink": (
        lambda given: ht.shrink(ht.to_masked(subclassed())),
        ["Functional or Sequential", "Received: MaskedSubclassed"],
    ),
    "conversion_of_a_subclassed_model_to_bounds": (
        lambda given: ht.bounds.certified(
            ht.to_masked(subclassed()),
            np.zeros((1, 4), "float32"),
            np.zeros(1, "int32"),
            epsilon=0.1,
        ),
        ["Functional or Sequential", "MaskedSubclassed"],
    ),
    "conversion_of_a_subclassed_model_to_live_paths": (
        lambda given: ht.Pruning(method="live_paths").check(subclassed()),
        ["'live_paths'", "Functional or Sequential"],
    ),
    "conversion_of_a_model_that_cannot_be_copied": (
        lambda given: ht.to_masked(not_copied()),
        [
            "(NotCopied) can't be copied",
            "passing non-serializable argument values in `__init__()`, and",
            "hydra_tf.to_masked and hydra_tf.strip_masks take `in_place=True`",
        ],
    ),
    "conversion_of_a_model_that_is_not_built": (
        lambda given: ht.to_masked(Subclassed()),
        ["is not built", "call it once"],
    ),
    "conversion_registered_instance": (
        lambda given: ht.register_maskable(layers.Dense(2), ["kernel"]),
        ["`layer_class` must be a class"],
    ),
    "conversion_registered_name_alone": (
        lambda given: ht.register_maskable(Registered, "scale"),
        ["`weights` must be a list of names", "'scale'"],
    ),
    "conversion_registered_nothing": (
        lambda given: ht.register_maskable(Registered, []),
        ["`weights` must be a list of names"],
    ),
    "conversion_registered_weight_twice": (
        lambda given: ht.register_maskable(Registered, ["scale", "scale"]),
        ["`weights` must be a list of names", "each once"],
    ),
    "conversion_registered_layer_of_keras": (
        lambda given: ht.register_maskable(layers.Dense, ["bias"]),
        ["`layer_class` must be a class of your own", "['kernel']", "derive"],
    ),
    "conversion_strict_is_a_text": (
        lambda given: ht.to_masked(given.network(), strict="yes"),
        ["`strict` must be True or False. Received: strict='yes'"],
    ),
    "conversion_registered_unknown_weight": (
        lambda given: registered(["kernel"]),
        ["(Registered) has no weight in its attribute 'kernel'"],
    ),
    "conversion_subclass_that_reads_another_attribute": (
        lambda given: ht.to_masked(
            keras.Sequential([keras.Input((4,)), ReadElsewhere(3, name="x")])
        ),
        [
            "layer 'x' (ReadElsewhere) can't be masked",
            "`call` does not read self.kernel",
            "`exclude=['x']`",
        ],
    ),
    "conversion_registered_weight_that_is_read_elsewhere": (
        lambda given: ht.to_masked(
            keras.Sequential([keras.Input((4,)), ReadFromList()])
        ),
        ["`call` does not read self.scale", "register_maskable"],
    ),
    "conversion_of_a_robust_model": (
        lambda given: ht.to_masked(given.robust()),
        ["Received: RobustModel", "pass its `network`"],
    ),
    "conversion_of_a_model_without_input": (
        lambda given: ht.to_masked(keras.Sequential([layers.Dense(3)])),
        ["is not built", "give it an Input"],
    ),
    "conversion_without_a_kernel": (
        lambda given: ht.to_masked(
            keras.Sequential([keras.Input((4,)), layers.ReLU()])
        ),
        ["nothing to prune", "register_maskable"],
    ),
    "conversion_with_everything_excluded": (
        lambda given: ht.to_masked(given.network(), exclude=["*"]),
        ["nothing to prune", "all are excluded"],
    ),
    "conversion_of_a_slash": (
        lambda given: ht.to_masked(renamed(given.network())),
        ["'block/first'", "layer.name = 'block_first'"],
    ),
    "conversion_snip_on_pixels": (
        lambda given: ht.start_pruning(
            given.network(),
            method="snip",
            data=((255 * given.images).astype("uint8"), given.labels),
        ),
        ["`images of data` must hold float images", "uint8"],
    ),
    "conversion_snip_on_labels_of_another_network": (
        lambda given: ht.start_pruning(
            given.network(classes=2),
            method="snip",
            data=(given.images, given.labels),
        ),
        ["`labels of data`", "from 0 to 1"],
    ),
    "conversion_slash_trained": (
        lambda given: given.robust(renamed(given.network())),
        ["'block/first'", "layer.name = 'block_first'"],
    ),
    "conversion_of_one_unknown_kind": (
        lambda given: ht.to_masked(unknown("one"), strict=True),
        [
            "'one' (Scaled)",
            "`exclude=['one']`",
            "lambda layer: isinstance(layer, Scaled)",
            "register_maskable",
        ],
    ),
    "conversion_of_several_unknown_kinds": (
        lambda given: ht.to_masked(unknown("one", "two"), strict=True),
        ["2 layers", "'one', 'two'", "`exclude=['one', 'two']`"],
    ),
    "conversion_of_lora": (
        lambda given: ht.to_masked(lora(given.network())),
        ["'first'", "LoRA", "`exclude=['first']`"],
    ),
    "conversion_exclude_unknown": (
        lambda given: ht.to_masked(given.network(), exclude=["frist", "lst"]),
        ["`exclude`", "'frist', 'lst'", "'first'", "'last'", "predicate"],
    ),
    "conversion_exclude_pattern_of_nothing": (
        lambda given: ht.to_masked(given.network(), exclude="block1_*"),
        ["`exclude`", "'block1_*'", "first"],
    ),
    "conversion_exclude_number": (
        lambda given: ht.to_masked(given.network(), exclude=[2]),
        ["`exclude` must be a list of names", "exclude=[2]"],
    ),
    "conversion_exclude_of_pruning": (
        lambda given: ht.start_pruning(given.network(), exclude=["frist"]),
        ["`exclude`", "'frist'", "'first'"],
    ),
    "conversion_density_in_per_cent": (
        lambda given: ht.to_masked(given.network(), density=10),
        ["`density` must be in (0, 1]", "density=10"],
    ),
    "conversion_granularity": (
        lambda given: ht.to_masked(given.network(), granularity="channels"),
        ["`granularity`", "Did you mean 'channel'?"],
    ),
    "conversion_blocks": (
        lambda given: ht.to_masked(given.network(), granularity="2:4"),
        ["'2:4'", "layer 'last' has 6", "`exclude=['last']`"],
    ),
    "conversion_of_masked_to_channels": (
        lambda given: ht.to_masked(given.masked(), granularity="channel"),
        ["masked already", "hydra_tf.strip_masks"],
    ),
    "conversion_of_pinned_channels": (
        lambda given: ht.to_masked(
            unknown("one"), ["one"], granularity="channel", density=0.5
        ),
        ["`granularity='channel'`", "'last'", "'one' (Scaled)"],
    ),
    "conversion_twin_without_mask": (
        lambda given: ht.register_masked_twin(layers.Dense),
        ["`masked_class`", "hydra_tf.layers.MaskedLayer"],
    ),
    "conversion_twin_instance": (
        lambda given: ht.register_masked_twin(masked_layer()),
        ["`masked_class` must be a class"],
    ),
    "conversion_twin_of_another_class": (
        lambda given: ht.register_masked_twin(NoPlainClass),
        ["NoPlainClass", "`plain_class`"],
    ),
    "conversion_strip_robust_model": (
        lambda given: ht.strip_masks(given.robust(given.masked())),
        ["Received: RobustModel", "pass its `network`"],
    ),
    "conversion_weights_of_the_plain_model": (
        lambda given: given.masked().set_weights(given.network().get_weights()),
        ["`weights` are 4 arrays", "hydra_tf.set_plain_weights"],
    ),
    "conversion_weights_of_a_plain_layer": (
        lambda given: (
            given.masked().layers[-1].set_weights([np.ones((6, 3)), np.ones(3)])
        ),
        ["2 arrays", "hydra_tf.set_plain_weights(layer, weights)"],
    ),
    "conversion_weights_of_the_masked_model": (
        lambda given: ht.set_plain_weights(
            given.masked(), given.masked().get_weights()
        ),
        ["`weights`", "4 of shapes (16, 6), (6,)", "its own set_weights"],
    ),
    "conversion_weights_for_a_plain_model": (
        lambda given: ht.set_plain_weights(
            given.network(), given.network().get_weights()
        ),
        ["no masked layer", "hydra_tf.to_masked"],
    ),
    "conversion_weights_file_missing": (
        lambda given: ht.set_plain_weights(given.masked(), "no.weights.h5"),
        ["'no.weights.h5'", "plain weights"],
    ),
    "conversion_layer_density": (
        lambda given: masked_layer(density=0),
        ["`density` must be in (0, 1]", "density=0"],
    ),
    "conversion_layer_phase": (
        lambda given: masked_layer(phase="fine"),
        ["`phase`", "Did you mean 'finetune'?"],
    ),
    "conversion_layer_scores_initializer": (
        lambda given: masked_layer(scores_initializer="scale"),
        ["`scores_initializer`", "'scaled'", "'scale'"],
    ),
    "conversion_layer_lora": (
        lambda given: masked_layer(lora_rank=2),
        ["`lora_rank`"],
    ),
    "conversion_density_of_an_unknown_layer": (
        lambda given: ht.set_density(given.masked(), {"frist": 0.5}),
        ["`density` names 'frist'", "Did you mean 'first'?"],
    ),
    "conversion_density_assigned": (
        lambda given: given.masked().layers[-1].density.assign(5.0),
        ["`density` must be in (0, 1]"],
    ),
    "conversion_pruning_argument": (
        lambda given: ht.start_pruning(given.network(), densty=0.5),
        ["`densty`", "Did you mean 'density'?"],
    ),
    "conversion_softmax_of_ops": (
        lambda given: given.robust(ends_in(keras.ops.softmax)),
        ["ends in keras.ops.softmax", "logits"],
    ),
    "conversion_softmax_of_tensorflow": (
        lambda given: given.robust(given.network(activation=tf.nn.softmax)),
        ["softmax, layer 'last'", "activation=None"],
    ),
    "conversion_two_inputs": (
        lambda given: given.robust(ht.to_masked(of_several(inputs=2))),
        ["`network` has 2 inputs", "attacked_input="],
    ),
    "conversion_two_inputs_evaluated": (
        lambda given: ht.evaluation.evaluate(
            of_several(inputs=2), given.images, given.labels
        ),
        ["`model` has 2 input(s)", "attacked_input=...).evaluate(batches)"],
    ),
    "conversion_sigmoid": (
        lambda given: given.robust(given.network(activation="sigmoid")),
        ["sigmoid, layer 'last'", "activation=None"],
    ),
    "conversion_two_outputs": (
        lambda given: given.robust(ht.to_masked(of_several(outputs=2))),
        ["`network` has 2 output(s)", "keras.Model(image, logits)"],
    ),
    "conversion_outputs_in_a_dict": (
        lambda given: given.robust(of_several()),
        ["`network` has 1 output(s) in a dict"],
    ),
    "conversion_outside_of_the_scope": (
        in_scope_of_another,
        ["scope of the OneDeviceStrategy", "to_masked"],
    ),
    "conversion_of_nothing_trainable": (
        lambda given: fit(given, ht.to_masked(frozen(given.network()))),
        ["nothing of `network`", "`trainable` is off"],
    ),
    "conversion_of_no_weights": (
        lambda given: fit(
            given, keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten()])
        ),
        ["nothing of `network`", "no weights"],
    ),
}

_OWN = "--model=tests.mistakes.conversion"

# Name: a command line, in which {folder} is an empty folder; and the words.
COMMANDS = {
    "conversion_command_softmax_of_ops": (
        f"pretrain {_OWN}:own_softmax",
        [f"{_OWN}:own_softmax ends in keras.ops.softmax"],
    ),
    "conversion_command_slash": (
        f"pretrain {_OWN}:own_slash",
        ["'block/first'", "layer.name = 'block_first'"],
    ),
    "conversion_command_frozen": (
        f"pretrain {_OWN}:own_frozen",
        ["nothing of", "`trainable` is off"],
    ),
    "conversion_command_unknown_kinds_alone": (
        f"pipeline {_OWN}:own_network --exclude=dense*",
        ["'one', 'two' (Scaled)", "--exclude=dense*,one,two"],
    ),
    "conversion_command_pinned_channels": (
        f"pipeline {_OWN}:own_network --exclude=one,t* --granularity=channel",
        ["can be removed with --granularity=channel", "'two'"],
    ),
    "conversion_command_exclude": (
        "pipeline --model=digits_model --exclude=conv_*,dnse",
        ["--exclude names 'conv_*', 'dnse'", "pattern"],
    ),
}
