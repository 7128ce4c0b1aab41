"""The study of pruning methods, each at its best settings.

    python -m benchmarks.results.run --study=digits --select
    python -m benchmarks.results.run --study=digits --final
    python -m benchmarks.results.table

A cell is a method at a density with settings and a seed. Cells that select
settings train on 80 % of the training images and are measured on the others;
final cells train on all of them and are measured on the test images.
"""

import flags  # noqa: F401  Puts TensorFlow off until it is used.
