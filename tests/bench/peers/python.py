# python.py requests|httpx get|each URL COUNT IN_FLIGHT: COUNT lists of one page
# with IN_FLIGHT threads (httpx: tasks), or every item of a list of COUNT.
import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor

library, scene, url = sys.argv[1:4]
count, in_flight = int(sys.argv[4]), int(sys.argv[5])

if library == "requests":
    import requests

    session = requests.Session()
    session.mount("http", requests.adapters.HTTPAdapter(pool_maxsize=64))
    get = session.get
else:
    import httpx

    session = httpx.Client(timeout=60)
    get = session.get


def one(_=None):
    answer = get(url)
    answer.raise_for_status()
    return answer.json()


async def together():
    limits = httpx.Limits(max_connections=in_flight)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:
        places = iter(range(count))

        async def work():
            for _ in places:
                answer = await client.get(url)
                answer.raise_for_status()
                answer.json()

        await asyncio.gather(*(work() for _ in range(in_flight)))


def each():
    read, following = 0, url
    while following:
        page = get(following).json()
        for item in page["results"]:
            read += len(item["id"]) > 0
        following = page["next"]
    assert read == count


def run():
    if scene == "each":
        each()
    elif in_flight == 1:
        for _ in range(count):
            one()
    elif library == "httpx":
        asyncio.run(together())
    else:
        with ThreadPoolExecutor(in_flight) as pool:
            list(pool.map(one, range(count)))


def peak():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1])


wall, cpu = time.perf_counter(), time.process_time()
run()
print(time.perf_counter() - wall, time.process_time() - cpu, peak())
