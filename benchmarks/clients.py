"""The others: a bare aiohttp loop, and the official package in threads.

`python -m benchmarks.clients bare|official URL JOBS TASK_MS`; they keep nothing of what comes.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

AT_ONCE = 64
PROMPT = "a paper lantern over the river, picture"


async def run_bare(base_url: str, jobs: int, task_s: float) -> None:
    """What any client must do at least: three requests a job, answers parsed, bytes read."""
    import aiohttp

    headers = {"Authorization": "Bearer sk-bench", "X-DashScope-Async": "enable"}
    numbers = iter(range(jobs))

    async def finished(session: aiohttp.ClientSession, task_id: str) -> str:
        await asyncio.sleep(task_s)
        while True:
            async with session.get(f"{base_url}/tasks/{task_id}", headers=headers) as response:
                output = (await response.json())["output"]
            if output["task_status"] == "SUCCEEDED":
                return output["results"][0]["url"]
            await asyncio.sleep(task_s / 10)

    async def worker(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            body = {
                "model": "wanx-v1",
                "input": {"prompt": f"{PROMPT} {number}"},
                "parameters": {"style": "<watercolor>", "size": "1024*1024", "n": 1},
            }
            url = f"{base_url}/services/aigc/text2image/image-synthesis"
            async with session.post(url, json=body, headers=headers) as response:
                task_id = (await response.json())["output"]["task_id"]
            async with session.get(await finished(session, task_id)) as response:
                await response.read()

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker(session))


def run_official(base_url: str, jobs: int) -> None:
    """As its documentation shows it: `call` waits for the task in its own way."""
    import dashscope
    import requests

    dashscope.base_http_api_url = base_url
    dashscope.api_key = "sk-bench"

    def draw(number: int) -> int:
        answer = dashscope.ImageSynthesis.call(
            model="wanx-v1", prompt=f"{PROMPT} {number}", n=1, style="<watercolor>",
            size="1024*1024",
        )  # fmt: skip
        return len(requests.get(answer.output.results[0].url, timeout=60).content)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        if not all(pool.map(draw, range(jobs))):
            raise SystemExit("a picture was empty")


if __name__ == "__main__":
    kind, url, number, task_ms = sys.argv[1:]
    if kind == "official":
        run_official(url, int(number))
    else:
        asyncio.run(run_bare(url, int(number), int(task_ms) / 1000))
