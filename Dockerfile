# Either app: docker build -t pneumonia . && docker run -p 7860:7860 pneumonia
# The form: docker run -p 7860:7860 pneumonia flask --host 0.0.0.0 --port 7860 --public
FROM python:3.12-slim

RUN useradd --create-home --uid 1000 app
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE demo.py flask_app.py ./
COPY pneumonia pneumonia
RUN pip install --no-cache-dir -c constraints.txt -e '.[apps]'

USER 1000
EXPOSE 7860
HEALTHCHECK --start-period=60s CMD ["python", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/healthz', timeout=5)"]
ENTRYPOINT ["python", "-m", "pneumonia", "serve"]
CMD ["gradio", "--host", "0.0.0.0", "--port", "7860", "--public"]
