"""The difference between a plan and an earlier run: which jobs have changed, how, and why."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from dsrun.common.late import is_late_form
from dsrun.common.lockfile import read_lockfile
from dsrun.common.messages import show
from dsrun.common.models import Job, Json
from dsrun.common.pointer import KeyPath, dotted, value_at
from dsrun.ledger import lookup
from dsrun.ledger.lookup import JobRecord
from dsrun.ledger.reader import LedgerReader, NoLedger
from dsrun.manifest.matrix import OPERATION, same
from dsrun.manifest.model import Text
from dsrun.planning.compiled_step import CompiledStep
from dsrun.planning.job_index import Difference, PlanDiff
from dsrun.planning.plan import Plan
from dsrun.planning.plan_digest import file_digests
from dsrun.service.request import BY_CONTENT
from dsrun.storage.layout import RunLayout, is_emulated, recent_run_dirs

_ABSENT = object()
_MOST = 3  # changes of one job that are shown
_SHORT = 30  # characters of a text whose old and new value are shown
_INCLUDES = re.compile(r"\{%-?\s*(include|import|from)\b")
_PARAMS = re.compile(r"\bparams\b")


class FieldChange(NamedTuple):
    """A field that is added, removed or changed; `sources`: the files and settings that made it."""

    field: str
    change: str  # added, removed or changed
    old: Json
    new: Json
    sources: Sequence[str]

    def as_json(self) -> dict[str, Json]:
        return {**self._asdict(), "sources": list(self.sources)}


class Changes:
    """What has changed between the lock file of an earlier run and a plan."""

    def __init__(self, plan: Plan, lockfile: Mapping[str, Json]) -> None:
        self._plan = plan
        self._steps = {step.step.name: step for step in plan.steps}
        self._before = lockfile
        self._manifest = lockfile.get("manifest") or {}
        self._params = list(_leaves(self._manifest.get("params") or {}, plan.manifest.params))
        self.params = [_words(*change, "params.") for change in self._params]

    @cached_property
    def files(self) -> list[str]:
        """The files that were edited; of those to upload as far as jobs were made."""
        plan, before = self._plan, self._before.get("files", {})
        now = file_digests(plan.manifest, plan.included) | plan.files.digests
        return sorted(name for name, sha256 in now.items() if before.get(name, sha256) != sha256)

    @cached_property
    def edits(self) -> list[FieldChange]:
        """What the manifest, or --set, says in another way than before."""
        edits = [
            _change(("params", *at), old, new, [self._param_place(at)])
            for at, old, new in self._params
        ]
        before = self._manifest.get("steps")
        if before is not None:
            leaves = chain.from_iterable(
                _items(*leaf) for leaf in _leaves(before, self._plan.manifest.raw["steps"])
            )
            edits += [
                _change(("steps", *at), old, new, [self._place("steps", *at)])
                for at, old, new in leaves
            ]
        return edits

    def reason(self, job: Job, before: JobRecord) -> str:
        """`seed 7 -> 8`, `prompt changed`, `prompt file prompts/tea.j2 edited` and so on."""
        old_operation = before.row["operation"]
        if old_operation != job.operation:
            return f"operation {old_operation} -> {job.operation}"
        axes = [_words(*change) for change in _leaves(before.matrix, dict(job.matrix))]
        return _listed(axes or self._of_request(job, before)) or "another replica"

    def fields(self, job: Job, before: JobRecord) -> list[FieldChange]:
        """Every field of the request that differs."""
        leaves = _leaves(before.request, dict(job.request))
        return [
            _change(at, old, new, list(dict.fromkeys(self._sources(job, before, at, new))))
            for at, old, new in leaves
        ]

    def _sources(self, job: Job, before: JobRecord, at: KeyPath, new: Any) -> Iterator[str]:
        step = self._steps[job.step]
        leaf = value_at(step.step.body, at)
        if leaf is None and at in self._derived(job):
            yield "derived from the job"
            return
        found = list(self._of_template(step, leaf, job, before)) if isinstance(leaf, Text) else []
        if isinstance(new, str) and new.startswith(BY_CONTENT):
            digests = self._plan.files.digests.items()
            found += [name for name, sha256 in digests if new == BY_CONTENT + sha256]
        if not found or self._is_edited(job.step, at):
            yield self._place("steps", job.step, *at)
        yield from found

    def _is_edited(self, step: str, at: KeyPath) -> bool:
        """Whether the manifest itself says something else there than before."""
        old = value_at(self._manifest.get("steps"), (step, *at))
        new = value_at(self._plan.manifest.raw["steps"], (step, *at))
        return bool(self._manifest) and not same(old, new)

    def _of_template(
        self, step: CompiledStep, text: Text, job: Job, before: JobRecord
    ) -> Iterator[str]:
        """What has changed of that which a template reads."""
        uses = step.uses.get(dotted(text.at), frozenset())
        includes = self._plan.included if _INCLUDES.search(text.source) else ()
        yield from (name for name in self.files if name == text.file or name in includes)
        axes = {str(at[0]) for at, _, _ in _leaves(before.matrix, dict(job.matrix))}
        read = axes if "matrix" in uses else axes & uses
        yield from (self._axis_place(step, axis) for axis in sorted(read))
        if "params" in uses:
            yield from map(self._param_place, self._params_in(text))
        if "run" in uses:
            changed = _leaves(self._before.get("run", {}), dict(self._plan.run_values))
            yield from (f"run.{at[0]}" for at, _, _ in changed)
        if "job" in uses and before.row["idx"] != job.index:
            yield f"job.index {before.row['idx']} -> {job.index}"

    def _params_in(self, text: Text) -> list[KeyPath]:
        """The changed params that a template names; all of them where it names none."""
        changed = [at for at, _, _ in self._params]
        named = [at for at in changed if re.search(rf"\b{re.escape(str(at[0]))}\b", text.source)]
        return named or changed

    def _axis_place(self, step: CompiledStep, name: str) -> str:
        for axis in step.step.matrix.axes:
            if name in axis.data:
                return axis.data[name].name
        below = () if name == OPERATION else ("matrix",)
        return self._place("steps", step.step.name, *below, name)

    def _param_place(self, at: KeyPath) -> str:
        """`--set`, where the value is not the one that the manifest has."""
        written = value_at(self._plan.manifest.document.value, ("params", *at))
        is_own = same(written, value_at(self._plan.manifest.params, at))
        return self._place("params", *at) if is_own else "--set"

    def _place(self, *at: str | int) -> str:
        document = self._plan.manifest.document
        return f"{document.file}:{document.place(at)[0]}"

    def _of_request(self, job: Job, before: JobRecord) -> list[str]:
        step = self._steps[job.step]
        changes = list(_leaves(before.request, dict(job.request)))
        derived = self._derived(job)
        written = [change for change in changes if change[0] not in derived]
        return [self._of_leaf(step, *change) for change in written or changes]

    def _derived(self, job: Job) -> set[KeyPath]:
        """Where dsrun derives a value of the job's request."""
        return {fill.at for fill in self._plan.catalog[job.operation].fills if fill.derive}

    def _of_leaf(self, step: CompiledStep, at: KeyPath, old: Any, new: Any) -> str:
        leaf = value_at(step.step.body, at)
        if isinstance(leaf, Text):
            if leaf.file in self.files:
                return f"prompt file {leaf.file} edited"
            included = [name for name in self.files if name in self._plan.included]
            if included and _INCLUDES.search(leaf.source):
                return f"{_name(at)} changed ({', '.join(included)} edited)"
            if self.params and _PARAMS.search(leaf.source):
                return f"{_name(at)} changed ({_listed(self.params)})"
        return _words(at[1:] or at, old, new)


def changes_between(old: Json, new: Json) -> list[FieldChange]:
    """Every field that differs between two requests, or manifests, of runs that are over."""
    leaves = chain.from_iterable(_items(*leaf) for leaf in _leaves(old, new))
    return [_change(*leaf, ()) for leaf in leaves]


def _change(at: KeyPath, old: Any, new: Any, sources: Sequence[str]) -> FieldChange:
    change = "added" if old is _ABSENT else "removed" if new is _ABSENT else "changed"
    return FieldChange(
        dotted(at), change, None if old is _ABSENT else old, None if new is _ABSENT else new,
        sources,
    )  # fmt: skip


def _leaves(old: Json, new: Json, at: KeyPath = ()) -> Iterator[tuple[KeyPath, Any, Any]]:
    """Path, old value and new value of everything that differs."""
    is_late = is_late_form(old) or is_late_form(new)
    if isinstance(old, Mapping) and isinstance(new, Mapping) and not is_late:
        for key in {**new, **old}:
            yield from _leaves(old.get(key, _ABSENT), new.get(key, _ABSENT), (*at, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _leaves(left, right, (*at, number))
    elif old is _ABSENT or new is _ABSENT or not same(old, new):
        yield at, old, new


def _items(at: KeyPath, old: Any, new: Any) -> Iterator[tuple[KeyPath, Any, Any]]:
    """The items of two lists that differ, after those at the start and before those at the end."""
    if not (isinstance(old, list) and isinstance(new, list)):
        yield at, old, new
        return
    head, tail = shared_ends(old, new)
    left, right = old[head : len(old) - tail], new[head : len(new) - tail]
    for number, (was, now) in enumerate(zip_longest(left, right, fillvalue=_ABSENT), head):
        yield (*at, number), was, now


def shared_ends(left: Sequence[Any], right: Sequence[Any]) -> tuple[int, int]:
    """How many items two lists, or two texts, begin with alike; and how many of the rest end so."""
    head = _shared_head(left, right)
    return head, _shared_head(left[head:][::-1], right[head:][::-1])


def _shared_head(left: Sequence[Any], right: Sequence[Any]) -> int:
    differs = (n for n, pair in enumerate(zip(left, right, strict=False)) if not same(*pair))
    return next(differs, min(len(left), len(right)))


def _words(at: KeyPath, old: Any, new: Any, prefix: str = "") -> str:
    name = prefix + _name(at)
    if old is _ABSENT:
        return f"{name} added"
    if new is _ABSENT:
        return f"{name} removed"
    values = show(old, longest=200), show(new, longest=200)
    if max(map(len, values)) > _SHORT:
        return f"{name} changed"
    return f"{name} {values[0]} -> {values[1]}"


def _name(at: KeyPath) -> str:
    parts = at[1:] if at[:1] in (("input",), ("parameters",)) else at
    return ".".join(map(str, parts))


def _listed(words: list[str]) -> str:
    rest = [f"{len(words) - _MOST} more"] if len(words) > _MOST else []
    return ", ".join(words[:_MOST] + rest)


class EarlierRun:
    """The newest run, if it is not the plan's own. Close it."""

    def __init__(self, run_dir: Path, plan: Plan) -> None:
        """Raises SetupError where its ledger cannot be read."""
        self.name = run_dir.name
        self._ledger = LedgerReader(RunLayout.of(run_dir).ledger)
        self._diff = PlanDiff(lookup.planned_jobs(self._ledger))
        self.changes = Changes(plan, read_lockfile(run_dir))

    def close(self) -> None:
        self._diff.close()
        self._ledger.close()

    def add(self, jobs: Sequence[Job]) -> None:
        self._diff.add(jobs)

    def end(self) -> Difference:
        return self._diff.end()

    def differing(self) -> Iterator[list[tuple[str, bool]]]:
        return self._diff.differing()

    def reason(self, job: Job) -> tuple[str, list[FieldChange]]:
        """Why the job would be sent although the earlier run was made, and what differs."""
        earlier_id = self._diff.earlier_id(job.job_id)
        if earlier_id == job.job_id:
            return f"same as in run {self.name}", []
        before = None if earlier_id is None else lookup.record(self._ledger, earlier_id)
        if before is None:
            return "new", []
        return self.changes.reason(job, before), self.changes.fields(job, before)


def open_earlier(layout: RunLayout, plan: Plan) -> EarlierRun | None:
    """The last run of the same kind, emulated or not; None where there is none, or it is this."""
    run_dir = _last_run(layout)
    if run_dir is None or run_dir.name == layout.run_dir.name:
        return None
    try:
        return EarlierRun(run_dir, plan)
    except NoLedger:
        return None


def _last_run(layout: RunLayout) -> Path | None:
    """The run that `latest` names, else the one whose ledger was written last.

    `latest` may name a run of the other kind, and some disks cannot have it.
    """
    latest = layout.latest.resolve()
    if latest.is_dir() and is_emulated(latest) == layout.emulated:
        return latest
    runs = recent_run_dirs(layout.out, pipeline=layout.name, emulated=layout.emulated)
    return next(iter(runs), None)
