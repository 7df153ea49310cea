"""The package, for ``pip install .`` and for ``colcon build`` alike."""

import re
from pathlib import Path

from setuptools import find_packages, setup

NAME = "gem_ros"
ROOT = Path(__file__).parent
SHARED = ("launch", "config", "data/tabletop")  # folders that a user's launch files and commands look for


def version() -> str:
    """The one in the package, read without importing it."""
    text = (ROOT / NAME / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE).group(1)


def shared_files() -> list[tuple[str, list[str]]]:
    """What lands under share/, as setuptools wants it: (folder, files relative to this one)."""
    share = f"share/{NAME}"
    models = [path for path in (ROOT / NAME / "models").iterdir() if path.suffix in (".json", ".safetensors")]
    files = {
        "share/ament_index/resource_index/packages": [ROOT / "resource" / NAME],
        share: [ROOT / "package.xml"],
        f"{share}/models": models,
    }
    for folder in SHARED:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                files.setdefault(f"{share}/{path.parent.relative_to(ROOT).as_posix()}", []).append(path)
    return [(where, sorted(str(path.relative_to(ROOT)) for path in paths)) for where, paths in files.items() if paths]


setup(
    name=NAME,
    version=version(),
    description="Say what you are looking for; the robot gets where it is, in 3D.",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    maintainer="gem_ros maintainers",
    maintainer_email="maintainers@gem-ros.invalid",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed", "models/*.json", "models/*.safetensors", "replay/report/page.*"]},
    data_files=shared_files(),
    zip_safe=False,
    install_requires=[
        "backports.zstd",  # as lz4 what rosbags unpacks with, in the versions that it asks for
        "filelock",  # torch's and huggingface_hub's own
        "huggingface_hub>=0.20",
        "jinja2>=3.0",
        "lz4",
        "matplotlib>=3.6",
        "numpy>=1.23",
        "open_clip_torch>=2.24",
        # The one OpenCV: a second wheel beside it would overwrite its files.
        "opencv-contrib-python-headless>=4.11,<5",
        "pillow>=10.1",
        "pyyaml>=5.4",
        "rich>=12",
        "rosbags>=0.11",
        "safetensors>=0.4",
        "scipy>=1.9",
        "timm>=1.0.17",
        "torch>=2.4",
        "torchvision>=0.19",
    ],
    extras_require={
        # rclpy without a ROS installation (Linux x86-64). Never part of a plain install: beside a system
        # ROS 2 these would be a second, different one. Built against each other, hence exact.
        "ros": [
            "ros-rclpy==9.1.2",
            "ros-rmw-fastrtps-cpp==9.3.3",
            "ros-diagnostic-msgs==5.5.1",
            "ros-geometry-msgs==5.5.1",
            "ros-lifecycle-msgs==2.3.0",
            "ros-nav-msgs==5.5.1",
            "ros-rosgraph-msgs==2.3.0",
            "ros-sensor-msgs==5.5.1",
            "ros-std-msgs==5.5.1",
            "ros-std-srvs==5.5.1",
            "ros-visualization-msgs==5.5.1",
        ],
        "sim": ["mujoco>=3.2"],
        # gem-ros ground --sam: masks by a SAM whose weights the user has.
        "sam": ["transformers>=5"],
        # An ffmpeg of its own for H.264, which browsers play; without it the demo's video is a GIF.
        "video": ["imageio-ffmpeg>=0.4.9"],
        # Rows of gem-ros evaluate as Parquet, beside CSV.
        "parquet": ["pyarrow>=12"],
        # gem-ros evaluate --engine ray: thousands of recordings on a cluster.
        "ray": ["pyarrow>=12", "ray>=2.9"],
        # scripts/fuzz.sh: bytes chosen by what they reach in the code.
        "fuzz": ['atheris>=3; python_version >= "3.11" and sys_platform == "linux"'],
        "dev": [
            "coverage>=7.10",
            "hypothesis",
            "jsonschema",
            "mypy",
            "pytest>=8",
            "pytest-xdist",
            "ruff",
            "types-PyYAML",
        ],
    },
    entry_points={
        "console_scripts": [
            "grounding_node = gem_ros.ros.main:main",
            "gem-ros = gem_ros.cli:main",
        ]
    },
)
