"""What the catalog says of one API, read from its operation file. Frozen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath
from dsrun.common.units import Rate
from dsrun.service.price import Price
from dsrun.service.short_form import ShortForm
from dsrun.service.tables import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A value that dsrun adds to a request where the manifest gives none."""

    at: KeyPath
    value: Json = None  # or a Table, which gives None where nothing is sent
    derive: str | None = None  # "seed" or "name"
    span: KeyPath | None = None  # count of images that use seed, seed+1, ...
    length: int = 0  # of a derived name
    maximum: int = 0  # of a derived seed, from the schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How many results a request asks for: as many as stand `at` a place of it, else this number.

    `at_most`: the model decides, and fewer are no failure.
    """

    at: KeyPath | None = None
    number: int | Table = 1
    at_most: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactSpec:
    """One kind of results: where they stand in an answer, as JSON pointers, and what they are.

    `each` names the items, and then the others are places in an item. A kind that is made `of`
    another one has its places in the file of that.
    """

    media: str  # a key of `common.media.MEDIA`
    name: str = ""  # suffix of its files; the main kind has none
    each: str | None = None
    at: str | None = None
    given: str = "url"  # `as` in the file: url, base64 or value
    error: tuple[str, str] | None = None  # code and message
    asked: Asked = Asked()
    seed: KeyPath | None = None  # in the request
    url_hours: float = 24.0
    format: str | None = None
    sample_rate: str | None = None
    asked_format: str | None = None  # in the request
    asked_rate: str | None = None  # in the request
    of: str | None = None  # the name of the kind that it is made of
    begin: str | None = None  # of a caption, in milliseconds
    end: str | None = None
    text: str | None = None

    @property
    def count(self) -> KeyPath | None:
        """Where a request says how many it asks for."""
        return self.asked.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """What an answer must say to be one: with anything else `at` this place its job has failed."""

    at: str
    value: Json
    code: str | None = None
    message: str | None = None
    billed: bool = False  # whether such a failure costs what a result costs


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the service allows one model; None where nothing is published.

    `group` names a limit that several models share, of one file or of several.
    """

    rate: Rate  # of creates
    running_tasks: int | None = None  # the service runs no more; further ones wait there
    queued_tasks: int | None = None  # waiting or running; it takes no more
    tokens: Rate | None = None
    group: str = ""
    group_running: int | None = None
    scope: str = "account"  # or "key": whose requests are counted together


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """When to ask for a task, in seconds: after `first_s`, then `factor` longer up to `max_s`."""

    first_s: float
    factor: float
    max_s: float
    timeout_s: float


class OutputRule(NamedTuple):
    """What is known of an output: its types (none: any), and what it belongs to.

    `binds`: fields of the request that makes it, each with the field of a request that uses it
    which must have the same value.
    """

    types: tuple[str, ...] = ()
    binds: Mapping[KeyPath, KeyPath] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageRule:
    """The languages of a text of the request: `languages`, else the one that the request names."""

    at: KeyPath
    languages: tuple[str, ...] = ()
    named_by: KeyPath | None = None
    default: str = ""  # where the request names none


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadField:
    """A place of the request that takes local files, and what such a file may be.

    Formats are extensions, told by content; sides are in pixels. What is None is not published.
    """

    at: KeyPath  # `*`: each item of a list
    media: str  # as that of an ArtifactSpec
    formats: tuple[str, ...]
    max_bytes: int  # of a data URL: with its head, as it is sent
    when: tuple[tuple[str, tuple[str, ...]], ...] = ()  # keys beside the value: their values
    is_data: bool = False  # it is sent as a data URL, and not uploaded
    min_side: int | None = None
    max_side: int | None = None
    ratio: tuple[float, float] | None = None  # width to height
    min_s: float | None = None
    max_s: float | None = None
    fps: tuple[float, float] | None = None  # told, and not checked: it stands in no header


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    """How an operation takes local files: which, and how long their temporary address is used."""

    fields: tuple[UploadField, ...]
    hours: float
    rate: Rate  # of upload policies
    lost: frozenset[str]  # error codes of a job whose file the service could not get


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskList:
    """A create whose answer was lost is looked for in the list of tasks, under this model.

    A task that is found must agree with the request: the rest are JSON pointers.
    """

    model_name: str
    confirm: Mapping[str, str]  # in the request, in the task's answer
    size: str | None  # in the request: WIDTH*HEIGHT of the pictures


class ByName(NamedTuple):
    """How one row of a list is asked for, or deleted, by its name. It costs nothing."""

    body: Mapping[str, Json]
    name: KeyPath  # in the body
    row: str | None = None  # JSON pointer into the answer


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeList:
    """A create whose answer was lost is looked for among what the service has made.

    `body` asks for the list, page by page; the rest are JSON pointers.
    """

    body: Mapping[str, Json]
    page: KeyPath  # in the body, from 0
    page_size: KeyPath  # in the body
    items: str  # in the answer
    total: str | None  # in the answer; without it the list ends with a page that is not full
    match: Mapping[str, str]  # what must be equal: in the request, in an item
    holds: Mapping[str, str]  # what an item's text must contain: in the request, in an item
    filter: Mapping[str, str]  # what narrows the list: in the request, in the body
    made_at: str  # in an item
    outputs: Mapping[str, str]  # in an item
    lost: str  # what of the answer cannot be had again; empty where all can
    query: ByName | None = None
    delete: ByName | None = None
    most: int | None = None  # rows that an account keeps


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A create whose answer was lost is sent again: it is cheap, and leaves nothing to be found."""

    times: int  # at most, for each job


Recovery = TaskList | MadeList | Repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One API of the catalog, as its operation file describes it."""

    name: str  # the model, where its file serves several
    family: str  # the name of the file
    description: str
    schema: Mapping[str, Json]
    protocol: str  # "task" or "sync"
    method: str
    path: str
    root: str  # before the path, at the host of the base URL
    headers: Mapping[str, str]
    timeout_s: float
    fills: tuple[Fill, ...]
    artifacts: tuple[ArtifactSpec, ...]  # the main kind first
    outputs: Mapping[str, str]  # pointers into the answer
    price: Price
    limits: Limits
    polling: Polling | None
    output_rules: Mapping[str, OutputRule] = field(default_factory=dict)  # of all outputs
    file_outputs: Mapping[str, str] = field(default_factory=dict)  # names of the kinds they are of
    languages: tuple[LanguageRule, ...] = ()
    uploads: Uploads | None = None
    recovery: Recovery | None = None
    short: ShortForm | None = None
    also: tuple[str, ...] = ()  # models of other files that its file may be named with
    success: Success | None = None
    note: str = ""  # what a user should know of the model

    @property
    def fills_gaps(self) -> bool:
        """Whether what is missing of a job can be asked for alone, and is what it would have been.

        It takes a number of results, and the seed of the first.
        """
        return self.main.count is not None and self.main.seed is not None

    def fewest_files(self, asked: int) -> int:
        """How many files of the main kind a job that has succeeded has at least."""
        if isinstance(self.recovery, MadeList) and not self.recovery.lost:
            return 0  # what a list shows of a lost answer is no file
        return min(asked, 1) if self.main.asked.at_most else asked

    @property
    def main(self) -> ArtifactSpec:
        """The kind of results that alone decides whether a job is partial or failed."""
        return self.artifacts[0]


def families_of(operations: Iterable[Operation]) -> dict[str, tuple[Operation, ...]]:
    """The operations of each file that serves several models, by the name of the file.

    Those of other files that it may be named with come last.
    """
    known = {one.name: one for one in operations}
    found: dict[str, dict[str, Operation]] = {}
    for one in known.values():
        found.setdefault(one.family, {})[one.name] = one
    for one in known.values():
        found[one.family] |= {name: known[name] for name in one.also if name in known}
    return {
        family: tuple(members.values())
        for family, members in sorted(found.items())
        if members.keys() != {family}
    }
