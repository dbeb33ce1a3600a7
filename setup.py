"""What pyproject.toml cannot say: the entry points and configs lie in a wheel under cnnjax/home."""

from setuptools import find_packages, setup

BESIDE = ["configs", *find_packages(include=["experiments*"])]

setup(
    packages=[*find_packages(include=["cnnjax*"]), *(f"cnnjax.home.{name}" for name in BESIDE)],
    package_dir={f"cnnjax.home.{name}": name.replace(".", "/") for name in BESIDE},
)
