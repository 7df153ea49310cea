# gem_ros on a robot with an NVIDIA GPU (driver and NVIDIA Container Toolkit on the host):
#
#   docker build --tag gem_ros .
#   docker run --rm --gpus all --network host --ipc host gem_ros \
#       ros2 launch gem_ros grounding.launch.py image:=/camera/color/image_raw
#
# --ipc host: images of other containers and of the host come through shared memory.
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}
ARG ROS_DISTRO

RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv python3-pip \
    && rm -rf /var/lib/apt/lists/*

# What ROS has, from apt. PyTorch comes from pip below, built for CUDA.
WORKDIR /workspace
COPY package.xml src/gem_ros/package.xml
RUN apt-get update \
    && rosdep update --rosdistro "${ROS_DISTRO}" \
    && rosdep install --from-paths src --ignore-src --default-yes --skip-keys "python3-torch python3-torchvision" \
    && rm -rf /var/lib/apt/lists/*

# Ubuntu's Python is externally managed: a virtual environment that sees ROS's packages, for the rest.
ENV VIRTUAL_ENV=/workspace/venv
ENV PATH=${VIRTUAL_ENV}/bin:${PATH}
COPY requirements.txt constraints-ros.txt src/gem_ros/
RUN python3 -m venv --system-site-packages "${VIRTUAL_ENV}" \
    && touch "${VIRTUAL_ENV}/COLCON_IGNORE" \
    && python -m pip install --no-cache-dir --constraint src/gem_ros/constraints-ros.txt \
        torch torchvision opencv-contrib-python-headless --requirement src/gem_ros/requirements.txt

# `python -m colcon`: the executables then start with the environment's Python.
COPY . src/gem_ros
RUN . "/opt/ros/${ROS_DISTRO}/setup.sh" && python -m colcon build --packages-select gem_ros \
    && printf '%s\n' '#!/bin/bash' 'set -e' 'source /workspace/install/setup.bash' 'exec "$@"' > entrypoint.sh \
    && chmod +x entrypoint.sh

ENV NVIDIA_VISIBLE_DEVICES=all
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
# Weights that open_clip downloads: give it a volume to download them once.
VOLUME /workspace/cache
ENV HF_HOME=/workspace/cache
ENTRYPOINT ["/workspace/entrypoint.sh"]
CMD ["ros2", "launch", "gem_ros", "grounding.launch.py"]
