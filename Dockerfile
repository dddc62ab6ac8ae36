# Either app: docker build -t pneumonia . && docker run --read-only -p 7860:7860 pneumonia
# The form: docker run --read-only -p 7860:7860 pneumonia form --host 0.0.0.0 --port 7860 --public
FROM python:3.13-slim AS build

WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY pneumonia pneumonia
ARG EXTRAS=apps
RUN python -m venv --without-pip /venv && \
    pip --python /venv/bin/python install --no-cache-dir -c constraints.txt ".[$EXTRAS]"

FROM python:3.13-slim

RUN useradd --create-home --uid 1000 app
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH ORT_DISABLE_TELEMETRY=1
USER 1000
WORKDIR /home/app
EXPOSE 7860
HEALTHCHECK --start-period=60s CMD ["python", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/healthz', timeout=5)"]
ENTRYPOINT ["pneumonia", "serve"]
CMD ["gradio", "--host", "0.0.0.0", "--port", "7860", "--public"]
