# The base install, without PyTorch; runs as a user without rights, and needs no network: the face detector is inside.
FROM python:3.12-slim AS build
WORKDIR /src
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY batchgender ./batchgender
# OpenCV's usual build needs the libraries of a desktop.
RUN python -m venv /opt/batchgender \
    && /opt/batchgender/bin/pip install --no-cache-dir . \
    && /opt/batchgender/bin/pip uninstall --yes opencv-python \
    && /opt/batchgender/bin/pip install --no-cache-dir --no-deps "opencv-python-headless>=4.11" \
    && XDG_CACHE_HOME=/opt/batchgender/cache /opt/batchgender/bin/batchgender fetch-detector

FROM python:3.12-slim
COPY --from=build /opt/batchgender /opt/batchgender
ENV PATH="/opt/batchgender/bin:$PATH" \
    BATCHGENDER_DETECTOR=/opt/batchgender/cache/batchgender/face_detection_yunet_2026may.onnx
RUN useradd --uid 10001 --create-home batchgender
USER 10001
WORKDIR /data
ENTRYPOINT ["batchgender"]
CMD ["--help"]
