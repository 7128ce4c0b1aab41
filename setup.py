"""Where the wheel has the folders of the checkout; the rest is pyproject.toml.

`flags` and `trainers` are names that nobody wants in their site-packages: the
wheel has them within the package. See hydra_tf_console.py.
"""

import setuptools

BINARIES = ("flags", "trainers")

setuptools.setup(
    packages=[
        *setuptools.find_packages(include=["hydra_tf", "hydra_tf.*"]),
        *(
            f"hydra_tf.binaries.{package}"
            for package in setuptools.find_packages(
                include=[
                    pattern
                    for name in BINARIES
                    for pattern in (name, f"{name}.*")
                ]
            )
        ),
    ],
    package_dir={f"hydra_tf.binaries.{name}": name for name in BINARIES},
    package_data={
        "hydra_tf.binaries.flags": ["presets/**/*.flags"],
        "hydra_tf.binaries.trainers.reporting": ["templates/*"],
    },
    py_modules=["hydra_tf_console"],
)
