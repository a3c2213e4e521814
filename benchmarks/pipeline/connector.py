"""Spark's Kafka connector, which only the old design needs: resolved once, into the cache."""

from __future__ import annotations

import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

from frameferry.stack import layout
from frameferry.stack.java import find_java

TIMEOUT_SECONDS: Final = 600
_SETTINGS: Final = """\
<ivysettings>
  <settings defaultResolver="central"/>
  <caches defaultCacheDir="${ivy.cache}"/>
  <resolvers><ibiblio name="central" m2compatible="true"/></resolvers>
</ivysettings>
"""


def connector() -> Path:
    """Give the folder of the connector's jars; download them where they are not there yet."""
    spark = version("pyspark")
    target = layout.cache() / f"spark-kafka-{spark}"
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".spark-kafka-") as work:
            _retrieve(Path(work), spark)
            (Path(work) / "jars").rename(target)
    return target


def _retrieve(work: Path, spark: str) -> None:
    settings = work / "ivysettings.xml"
    settings.write_text(_SETTINGS, encoding="utf-8")
    ivy = next((layout.pyspark() / "jars").glob("ivy-*.jar"))
    argv = [
        *(find_java(), f"-Divy.cache={work / 'ivy'}", f"-Dspark.version={spark}", "-jar", ivy),
        *("-settings", settings, "-ivy", Path(__file__).with_name("ivy.xml"), "-confs", "default"),
        *("-retrieve", work / "jars" / "[artifact]-[revision].[ext]", "-warn"),
    ]
    subprocess.run([str(part) for part in argv], check=True, cwd=work, timeout=TIMEOUT_SECONDS)
