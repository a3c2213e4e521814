"""One pipeline's YAML file as frozen settings. `docs/configuration.md` is checked against this."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Final, Literal
from unicodedata import category
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from frameferry.config.pictures import PicturesSettings
from frameferry.config.preprocessing import Preprocessing
from frameferry.config.reading import explained, read_mapping
from frameferry.config.values import ConnectionId, Partitions, Start
from frameferry.domain.naming import Illegal
from frameferry.domain.templates import check_template, template_fields, template_headers

DEFAULT_NAME = "{date}/{stem}_{partition}-{offset:020d}{suffix}"
NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
MAX_BASE_BYTES = 1000
_ALL: Literal["all"] = "all"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class KafkaSettings(_Frozen):
    """Where the images are."""

    connection: ConnectionId = Field(description="Airflow connection id of the Kafka cluster.")
    topic: str = Field(
        pattern=r"^[A-Za-z0-9._-]{1,249}$", description="The topic; one record = one image."
    )
    partitions: Partitions = Field(
        default=_ALL, description="`all`, or a list: this pipeline's share of a topic."
    )
    start: Start = Field(
        default="earliest",
        description="Where to begin when the ledger has no progress: `earliest`, a time with "
        "zone, an offset for every partition, or `adopt`: not before `frameferry adopt` has said "
        "where. Used once. A time is the first record of then or later, in the log's order; what "
        "lies behind it is carried, whatever its time.",
    )
    filename_header: str = Field(
        default="filename",
        min_length=1,
        description="The record header that holds the picture's file name.",
    )

    @model_validator(mode="after")
    def _starts_are_ours(self) -> KafkaSettings:
        if isinstance(self.start, dict) and self.partitions != "all":
            others = sorted(set(self.start) - set(self.partitions))
            if others:
                msg = f"start names partitions that are not in partitions: {others}"
                raise ValueError(msg)
        return self


_OF_MODELS: Final = (
    "threshold",
    "input_height_pixels",
    "input_width_pixels",
    "preprocessing",
    "labels",
    "output",
    "grey_bits",
)
"""Keys that only a model reads."""


class ModelSettings(_Frozen):
    """What judges them. Unset keys come from the model's own `card.yaml`."""

    path: str | None = Field(
        default=None,
        min_length=1,
        description="SavedModel folder, `.keras` file, a folder with one of them and a card, or "
        "one of numbered [versions](#versions).",
    )
    judge: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        description="In place of a path: a class of yours, as `package.module:Class`; see "
        "[Your own Python](#your-own-python).",
    )
    threshold: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Below this score the label is the card's `unsure` label, if it has one.",
    )
    unjudged: Literal["quarantine", "deliver"] = Field(
        default="quarantine",
        description="What to do with a picture that cannot be judged: quarantine it, or "
        "deliver it as it is, unjudged.",
    )
    input_height_pixels: int | None = Field(
        default=None, ge=1, le=8192, description="Overrides the card: height of the model's input."
    )
    input_width_pixels: int | None = Field(
        default=None, ge=1, le=8192, description="Overrides the card: width of the model's input."
    )
    preprocessing: Preprocessing | None = Field(
        default=None,
        description="Overrides the card: pixels as 0 to 1 (`unit`), -1 to 1 (`signed`) or "
        "0 to 255 (`raw`), or a mapping; see [Preprocessing](#preprocessing).",
    )
    labels: tuple[str, ...] | None = Field(
        default=None, description="Overrides the card: the labels in the order of the outputs."
    )
    output: Literal["softmax", "logits", "sigmoid"] | None = Field(
        default=None, description="Overrides the card: what the model's output numbers are."
    )
    max_pixels: int = Field(
        default=100_000_000,
        ge=1,
        description="A picture with more pixels is quarantined, undecoded.",
    )
    max_image_bytes: ByteSize = Field(
        default=ByteSize(50 * 1024**2),
        ge=1,
        description="A larger picture is quarantined, undecoded.",
    )
    grey_bits: int = Field(
        default=16,
        ge=8,
        le=16,
        description="How many of their 16 bits grey pixels use, from the lowest on: 12 for a "
        "camera that writes 0 to 4095; see [Grey of more than 8 bits](#grey-of-more-than-8-bits).",
    )
    pictures: PicturesSettings = PicturesSettings()

    @model_validator(mode="after")
    def _one_that_judges(self) -> ModelSettings:
        if (self.path is None) == (self.judge is None):
            msg = "needs a path or a judge, and not both"
            raise ValueError(msg)
        kinds = ModelSettings.model_fields
        unread = [key for key in _OF_MODELS if getattr(self, key) != kinds[key].default]
        if self.judge is not None and unread:
            msg = f"judge is a class of yours, to which {', '.join(unread)} would mean nothing"
            raise ValueError(msg)
        return self

    @property
    def name(self) -> str:
        """What judges, for people: the model's path, or the class."""
        return self.judge or self.path or ""


def read_base(value: str) -> str:
    """
    Read the folder that files go below, without doubled or final slashes.

    Raises:
        ValueError: It is not absolute, has dotted parts or control characters, or is too long.
    """
    parts = [part for part in value.split("/") if part]
    odd = {".", ".."} & set(parts) or any(category(char)[0] == "C" for char in value)
    if odd or not value.startswith("/") or len(value.encode(errors="replace")) > MAX_BASE_BYTES:
        msg = "must be an absolute folder such as /press-a, without '.' and '..'"
        raise ValueError(msg)
    return "/" + "/".join(parts)


class DeliverSettings(_Frozen):
    """Where the files go."""

    connection: ConnectionId = Field(description="Airflow connection id of the FTP server.")
    base: str = Field(description="Absolute folder on the server; one of its own per pipeline.")
    name: str = Field(
        default=DEFAULT_NAME,
        description="File name template below the base; its fields are under "
        "[File names](#file-names).",
    )
    illegal: Illegal = Field(
        default="encode",
        description="What becomes of text that cannot stand in a file's name: written as `%XX`, "
        "as `_`, its digest instead, or the record is quarantined.",
    )
    timezone: str = Field(default="UTC", description="Zone of `{date}` and the other times.")
    after: Literal["kept", "taken"] = Field(
        default="kept", description="`taken`: a consumer moves files away at once."
    )
    replace: Literal["rename", "delete_then_rename"] = Field(
        default="rename",
        description="`delete_then_rename`: for servers that let no rename replace a file; a reader "
        "may find none for a moment.",
    )
    connections: int = Field(
        default=4, ge=1, le=16, description="Connections to the server at once; as many pool slots."
    )
    empty: Literal["quarantine", "deliver"] = Field(
        default="quarantine", description="What to do with a record that holds no bytes."
    )
    create_folders: bool = Field(
        default=True,
        description="Make the folders that names ask for; `false`: somebody else makes them, and a "
        "missing one stops the pipeline.",
    )
    part_name: Literal["dot", "suffix"] = Field(
        default="dot",
        description="Names of parts: with a leading dot and `.part` at the end, or, for servers "
        "that take no dot, with `.part` only (`suffix`).",
    )
    sidecar: Literal["none", "json"] = Field(
        default="none",
        description="`json`: a file beside each picture, its name and `.json`, with what was said "
        "of it; it is there before the picture.",
    )

    @field_validator("base")
    @classmethod
    def _absolute(cls, value: str) -> str:
        return read_base(value)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            msg = f"{value!r} is not a time zone such as Asia/Seoul"
            raise ValueError(msg) from None
        return value

    @field_validator("name")
    @classmethod
    def _unique_name(cls, value: str) -> str:
        check_template(value)
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The zone of `{date}` and the other times."""
        return ZoneInfo(self.timezone)

    @property
    def name_headers(self) -> tuple[str, ...]:
        """The record headers that names are made of."""
        return template_headers(self.name)


class BatchSettings(_Frozen):
    """How much is one batch, and what happens to one that fails."""

    target_seconds: float = Field(
        default=60,
        gt=0,
        description="How long one batch should take; longer where more than a tenth of that would "
        "be its fixed cost.",
    )
    linger_seconds: float = Field(
        default=5, ge=0, description="Wait this long for more, so that a trickle makes one batch."
    )
    max_records: int = Field(default=20_000, ge=1, description="Records in one batch, at most.")
    max_bytes: ByteSize = Field(
        default=ByteSize(2 * 1024**3),
        ge=1,
        description="Bytes in one batch, as far as the sizes of the last ones tell; one that turns "
        "out larger is split.",
    )
    max_open: int = Field(default=2, ge=1, le=16, description="Batches open at once.")
    failures_before_split: int = Field(
        default=2,
        ge=1,
        description="Failures of judging before a control is run and the batch is split.",
    )
    max_quarantine: int = Field(
        default=20,
        ge=1,
        description="With more quarantined images than this, and than 5 %, in a batch or an hour "
        "the pipeline stops and asks.",
    )


class SparkSettings(_Frozen):
    """Where TensorFlow runs."""

    connection: ConnectionId = Field(
        default="spark_default", description="Airflow connection id: Spark Connect or a master."
    )
    startup_seconds: float = Field(
        default=240,
        gt=0,
        description="What Spark and the model may take to start; a judge job that takes longer "
        "than this and ten times what the last batches' pace says is ended.",
    )


class WatchSettings(_Frozen):
    """When to raise an alarm."""

    retention_hours: float = Field(
        default=12,
        gt=0,
        description="Alarm when the oldest unprocessed picture expires sooner.",
    )
    freshness_minutes: float = Field(
        default=15,
        gt=0,
        description="Alarm when the oldest unprocessed picture is older.",
    )
    quarantine_share: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="Alarm when a larger share of the last hour's pictures, and at least 5, went "
        "to quarantine.",
    )
    drift_share: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Alarm when a label's share of the last `watch.drift_hours` differs by more "
        "from that of the 7 days before.",
    )
    drift_hours: int = Field(
        default=24, ge=1, le=720, description="How far back labels are compared with the past."
    )
    drift_pictures: int = Field(
        default=100,
        ge=1,
        description="Judged pictures that both times must have before labels are compared.",
    )


class QuarantineSettings(_Frozen):
    """What becomes of the bytes of pictures that are set aside."""

    keep_bytes: ByteSize = Field(
        default=ByteSize(0),
        ge=0,
        description="How much of what is in quarantine to keep in `FRAMEFERRY_HOME`, so that it "
        "outlives Kafka's retention: the newest pictures that fit; `0`: none. See "
        "[Kept copies](operations.md#kept-copies).",
    )


def _none_or_settings(value: object) -> object:
    if value != "none" and not isinstance(value, dict | ModelSettings):
        msg = "must be none, or a mapping with a path or a judge"
        raise ValueError(msg)
    return value


def _kind_of_model(value: object) -> str:
    return "none" if value == "none" else "settings"


Model = Annotated[
    Annotated[ModelSettings, Tag("settings")] | Annotated[Literal["none"], Tag("none")],
    Discriminator(_kind_of_model),
    BeforeValidator(_none_or_settings),
]


class PipelineSettings(_Frozen):
    """One equipment's flow."""

    pipeline: str = Field(
        pattern=NAME_PATTERN, description="The pipeline's name: its DAG, group and folder."
    )
    kafka: KafkaSettings
    model: Model = Field(
        description="What judges the pictures, or `none`: deliver without judging."
    )
    deliver: DeliverSettings
    batch: BatchSettings = BatchSettings()
    quarantine: QuarantineSettings = QuarantineSettings()
    spark: SparkSettings = SparkSettings()
    watch: WatchSettings = WatchSettings()

    @model_validator(mode="after")
    def _label_needs_model(self) -> PipelineSettings:
        if self.model == "none" and "label" in template_fields(self.deliver.name):
            msg = "deliver.name uses {label} but model is none"
            raise ValueError(msg)
        return self

    @property
    def digest(self) -> str:
        """Digest of everything set, recorded with each batch."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def load_pipeline(path: Path) -> PipelineSettings:
    """
    Read one pipeline's file.

    Raises:
        ConfigError: Names the file, each wrong key and what is wrong with it.
    """
    content = read_mapping(path)
    try:
        return PipelineSettings.model_validate(content)
    except ValidationError as error:
        raise explained(path, content, error) from error
