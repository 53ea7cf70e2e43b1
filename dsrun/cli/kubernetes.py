"""The Kubernetes CronJob of a scheduled pipeline. Text only."""

from pathlib import Path
from typing import Any

import yaml
from cronsim import CronSim

from dsrun.cli.crontab import Scheduled
from dsrun.common.errors import UsageError
from dsrun.common.escaping import is_plain
from dsrun.manifest.schedule import SOME_DAY

_WORK = "/pipelines"  # where the volume is mounted
_KEY_FOLDER = "/run/secrets/dashscope"
_DAYS_OF_MONTH, _DAYS_OF_WEEK = 31, 7


def cronjob(item: Scheduled, *, image: str, root: Path, zone: str) -> dict[str, Any]:
    """A CronJob for a volume `dsrun` that holds what is below `root`, and a secret `dashscope`.

    Kubernetes counts in the zone of its controllers, so the zone is always named. Raises UsageError
    for a schedule that its cron cannot express.
    """
    pod = _pod(_container(item, image=image, root=root))
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": f"dsrun-{item.name}"[:52].rstrip("-")},
        "spec": {
            "schedule": _kubernetes_cron(item),
            "timeZone": zone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": pod}}},
        },
    }


def _kubernetes_cron(item: Scheduled) -> str:
    """The same expression for Kubernetes, whose days of the week are 0 to 6.

    Raises UsageError where both the day of the month and the day of the week must match:
    Kubernetes starts a job when either does.
    """
    cron = CronSim(item.schedule.cron, SOME_DAY)
    *fields, weekday = item.schedule.cron.split()
    numbers = sorted({day % 7 for day in cron.weekdays if isinstance(day, int)})
    is_any_day = len(numbers) == _DAYS_OF_WEEK or len(cron.days) == _DAYS_OF_MONTH
    if cron.day_and and not is_any_day:
        raise UsageError(
            f"{item.pipeline}: Kubernetes cannot hold to a day of the month and of the week at "
            f'once, as cron does for "{item.schedule.cron}"; name the days of one of them, or use '
            "--systemd"
        )
    return " ".join([*fields, ",".join(map(str, numbers)) if "7" in weekday else weekday])


def _container(item: Scheduled, *, image: str, root: Path) -> dict[str, Any]:
    """What runs the pipeline, with a read-only root file system and no capabilities."""
    jitter = [f"--jitter={item.schedule.jitter_s:g}s"] if item.schedule.jitter_s else []
    environment = {
        **{name: _literal(_mounted(value, root)) for name, value in item.environment.items()},
        "DASHSCOPE_API_KEY_FILE_PATH": f"{_KEY_FOLDER}/api_key",
        "HOME": "/tmp",  # noqa: S108  # the container's own, on a volume of its own
    }
    return {
        "name": "dsrun",
        "image": image,
        "command": ["dsrun"],
        "args": [*(_literal(_mounted(word, root)) for word in item.arguments), *jitter],
        "workingDir": _mounted(str(item.pipeline.parent), root),
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": {
            "requests": {"cpu": "250m", "memory": "256Mi"},
            "limits": {"memory": "1Gi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "work", "mountPath": _WORK},
            {"name": "key", "mountPath": _KEY_FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # as above
        ],
    }


def _pod(container: dict[str, Any]) -> dict[str, Any]:
    """One container, without rights that it does not need."""
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 300,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "work", "persistentVolumeClaim": {"claimName": "dsrun"}},
            {"name": "key", "secret": {"secretName": "dashscope", "defaultMode": 0o440}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def as_yaml(document: dict[str, Any]) -> str:
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    # Readable text, unless it holds a hidden character: then YAML writes escapes.
    if is_plain(text.replace("\n", "")):
        return text
    return yaml.safe_dump(document, sort_keys=False)


def _literal(text: str) -> str:
    """The text as Kubernetes leaves it: it puts a variable in the place of `$(NAME)`."""
    return text.replace("$", "$$")


def _mounted(word: str, root: Path) -> str:
    """The path in the container of a path below `root`; any other word unchanged."""
    path = Path(word)
    if path.is_absolute() and path.is_relative_to(root):
        return str(Path(_WORK) / path.relative_to(root))
    return word
