# One image for every service of docker-compose.yaml: `make setup`'s script makes it what it is.
FROM python:3.11-slim-bookworm

WORKDIR /opt/frameferry
ENV FRAMEFERRY_REQUIREMENTS=requirements.txt \
    FRAMEFERRY_CACHE=/opt/frameferry/.cache \
    FRAMEFERRY_HOME=/var/lib/frameferry \
    PATH=/opt/frameferry/.venv/bin:$PATH

COPY requirements.in requirements.txt pyproject.toml README.md LICENSE ./
COPY scripts/setup scripts/setup
COPY include include
COPY dags dags
COPY plugins plugins
COPY spark_jobs spark_jobs
RUN scripts/setup && rm -rf /var/lib/apt/lists/* /root/.cache

RUN useradd --uid 50000 --create-home ferry && install -d -o ferry /var/lib/frameferry
USER ferry
VOLUME /var/lib/frameferry
ENTRYPOINT ["python", "-m", "frameferry.stack.service"]
