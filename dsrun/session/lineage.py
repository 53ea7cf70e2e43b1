"""Steps that build on steps, in words: what a step builds on, and what a job is made of."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from itertools import islice

from dsrun.common.late import told
from dsrun.common.models import Job, Json, Parent
from dsrun.ledger import lookup
from dsrun.ledger.lookup import Edge
from dsrun.ledger.reader import LedgerReader
from dsrun.manifest.matrix import Axis, Matrix, StepSource
from dsrun.planning.partners import partner_words
from dsrun.planning.plan import Plan

_MOST = 20  # parents, and children, of which more than a count is told


def builds_on(matrix: Matrix) -> dict[str, str]:
    """What each axis that runs through a step gives: `cast`, `each file of shots`."""
    return {axis.names[0]: _source(axis.source) for axis in matrix.axes if axis.source}


def _source(source: StepSource) -> str:
    if source.each:
        return f"each file of {source.step}"
    return f"groups of {source.step}" if source.group_by else source.step


def building_lines(plan: Plan) -> Iterator[str]:
    """`speech builds on cast (voice): 400 lines: 1 voice each`, for each step that does."""
    for compiled in plan.steps:
        matrix = compiled.step.matrix
        sources = [f"{source} ({axis})" for axis, source in builds_on(matrix).items()]
        if sources:
            partners = "; ".join(partner_words(matrix))
            words = f"{compiled.step.name} builds on {', '.join(sources)}"
            yield f"{words}; {partners}" if partners else words


def building_json(plan: Plan, step: str) -> dict[str, Json]:
    """The keys of a step of `plan --json`."""
    matrix = next(one.step.matrix for one in plan.steps if one.step.name == step)
    named: list[tuple[Axis, StepSource]] = [(a, a.source) for a in matrix.axes if a.source]
    return {
        "builds_on": [
            {
                "axis": axis.names[0],
                "step": source.step,
                "each": "artifact" if source.each else None,
                "group_by": source.group_by,
            }
            for axis, source in named
        ],
        "partners": partner_words(matrix),
    }


def parent_json(parent: Parent) -> dict[str, Json]:
    """A parent as `job_list` of `plan --json --full` has it."""
    kind, _, number = (parent.takes or "").partition(":")
    return {
        "axis": parent.axis, "step": parent.step, "index": parent.index, "job_id": parent.job_id,
        "file": int(number) if kind == "file" else None,
    }  # fmt: skip


def names_of(job: Job) -> dict[str, str]:
    """`cast 1`, for each job that a job is made of."""
    return {one.job_id: f"{one.step} {one.index}" for one in job.parents}


def request_words(job: Job) -> Json:
    """The request of a job for people, with short words for what is not known yet."""
    return told(dict(job.request), names_of(job)) if job.late else job.request


def parents_of(
    job: Job | None, job_id: str, plan: Plan | None, ledger: LedgerReader | None
) -> Json:
    """The chain up: what a job is made of, and what these are made of."""
    left = iter(range(_MOST))
    return _chain(job, job_id, plan, ledger, left)


def _chain(
    job: Job | None,
    job_id: str,
    plan: Plan | None,
    ledger: LedgerReader | None,
    left: Iterator[int],
) -> list[dict[str, Json]]:
    edges = _of_ledger(ledger, job_id) or [_edge(one) for one in (job.parents if job else ())]
    chain = []
    for edge in edges:
        if next(left, None) is None:
            break
        above = plan.job_at(edge.step, edge.index) if plan and edge.status is None else None
        chain.append({**asdict(edge), "parents": _chain(above, edge.job_id, plan, ledger, left)})
    return chain


def _of_ledger(ledger: LedgerReader | None, job_id: str) -> list[Edge]:
    return [] if ledger is None else lookup.edges_up(ledger, job_id)


def _edge(parent: Parent) -> Edge:
    return Edge(
        axis=parent.axis, step=parent.step, index=parent.index, job_id=parent.job_id,
        takes=parent.takes, status=None, left_out=False,
    )  # fmt: skip


def children_of(
    step: str, job_id: str, plan: Plan | None, ledger: LedgerReader | None
) -> dict[str, Json]:
    """The jobs that are made of a job: how many, and the first of them."""
    number, first = (0, []) if ledger is None else lookup.edges_down(ledger, job_id, most=_MOST)
    if not number and plan is not None:
        found = list(_children(step, job_id, plan))
        number, first = len(found), list(islice(found, _MOST))
    return {"jobs": number, "first": [asdict(edge) for edge in first]}


def _children(step: str, job_id: str, plan: Plan) -> Iterator[Edge]:
    for compiled in plan.steps:
        if step in compiled.step.matrix.steps:
            for job in compiled.jobs():
                if not isinstance(job, Job):
                    continue
                for one in job.parents:
                    if one.job_id == job_id:
                        yield replace(_edge(one), step=job.step, index=job.index, job_id=job.job_id)
                        break


def chain_lines(chain: Json, indent: str = "  ") -> Iterator[str]:
    """The chain up, a line for each job."""
    for one in chain:
        yield f"{indent}{_edge_words(one)}"
        yield from chain_lines(one["parents"], f"{indent}  ")


def child_lines(children: Mapping[str, Json]) -> Iterator[str]:
    for one in children["first"]:
        yield f"  {_edge_words(one)}"
    if more := children["jobs"] - len(children["first"]):
        yield f"  and {more} more"


def left_out_words(facts: Mapping[str, Json]) -> str:
    """Why nothing happens to a job that is open; an empty text where the last run was about it."""
    return "left out of the last run" if facts["left_out"] else ""


def _edge_words(edge: Mapping[str, Json]) -> str:
    takes = (edge["takes"] or "nothing that is made").replace(":", " ")
    status = f"  {left_out_words(edge) or edge['status']}" if edge["status"] else ""
    place = f"{edge['step']}/{edge['index']}"
    return f"{place}  {edge['job_id'][:12]}  as {edge['axis']}, for {takes}{status}"
