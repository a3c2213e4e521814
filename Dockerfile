# One image for every service of docker-compose.yaml. What changes seldom comes first: Java, the pinned
# requirements, the jars; a change of code makes a layer of a few megabytes anew.
# To pin the base by its digest: --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS java
WORKDIR /opt/frameferry
ENV FRAMEFERRY_REQUIREMENTS=requirements.txt \
    FRAMEFERRY_CACHE=/opt/frameferry/.cache \
    FRAMEFERRY_HOME=/var/lib/frameferry \
    PATH=/opt/frameferry/.venv/bin:$PATH
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/cache/debconf/*-old

FROM java AS requirements
COPY scripts/setup scripts/setup
COPY requirements.txt ./
RUN scripts/setup requirements
# Nothing that runs needs these: headers to compile against TensorFlow, its dependency that parses
# C, the packages' own tests, Spark's examples.
RUN cd .venv/lib/python3.11/site-packages \
    && rm -rf tensorflow/include clang/native pyspark/examples \
    && find . -type d -name tests -path '*/tests' -prune -exec rm -rf {} +

FROM requirements AS jars
COPY include/frameferry/__init__.py include/frameferry/errors.py include/frameferry/
COPY include/frameferry/stack/__init__.py include/frameferry/stack/ivy.xml \
     include/frameferry/stack/ivysettings.xml include/frameferry/stack/jars.py \
     include/frameferry/stack/java.py include/frameferry/stack/layout.py include/frameferry/stack/
RUN PYTHONPATH=include python -c 'from frameferry.stack import jars; jars.resolve()' \
    && install -d /made && mv .cache/jars-* /made/

FROM java AS frameferry
RUN useradd --uid 50000 --create-home ferry && install -d -o ferry /var/lib/frameferry /var/lib/frameferry-trust
COPY --from=requirements /opt/frameferry/.venv .venv
COPY --from=jars /made .cache
COPY requirements.in requirements.txt pyproject.toml README.md LICENSE ./
COPY scripts/setup scripts/setup
COPY include include
COPY dags dags
COPY plugins plugins
COPY spark_jobs spark_jobs
# uv is borrowed for this one line, and stays behind.
RUN --mount=type=bind,from=requirements,source=/opt/frameferry/.cache,target=/borrowed,rw \
    FRAMEFERRY_CACHE=/borrowed scripts/setup project
USER ferry
ENTRYPOINT ["python", "-m", "frameferry.stack.service"]

# With what a Celery executor needs: docker build --target celery.
FROM frameferry AS celery
COPY requirements-celery.txt ./
USER root
RUN --mount=type=bind,from=requirements,source=/opt/frameferry/.cache,target=/borrowed,rw \
    FRAMEFERRY_CACHE=/borrowed FRAMEFERRY_REQUIREMENTS=requirements-celery.txt \
    scripts/setup added
USER ferry

# What `docker build .` makes.
FROM frameferry
