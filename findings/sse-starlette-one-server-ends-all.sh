#!/usr/bin/env bash
# sse-starlette 3.7.0 with uvicorn 0.54.0: once any server of a process was told to end by a signal's handler, every
# stream of events of every server that the process starts later is cut soon after its beginning, without an error.
#
# On import it puts a handler of its own in the place of uvicorn's `Server.handle_exit`; that one sets a flag of the
# whole process, which nothing takes back. A program that serves twice (a test suite, a notebook, a supervisor that
# restarts a server in its own process) gets streams that break off, with status 200, from the second server on.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet sse-starlette==3.7.0 starlette==1.10.0 uvicorn==0.54.0 h11==0.16.0
cat > "$folder/twice.py" <<'PYTHON'
import asyncio
import signal

import uvicorn
from sse_starlette.sse import EventSourceResponse


async def events():
    for number in range(40):
        yield {"data": str(number)}
        await asyncio.sleep(0.05)


async def serve(how):
    config = uvicorn.Config(EventSourceResponse(events()), host="127.0.0.1", port=0, lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    print(f"{how}: {answer.split()[1].decode()}, all of its events came: {answer.count(b'data: ') == 40}")
    server.handle_exit(signal.SIGTERM, None)  # what uvicorn does once the signal comes
    server._captured_signals.clear()  # and not again after its end, which would end this program
    await serving


asyncio.run(serve("the first server"))
asyncio.run(serve("the second server"))
PYTHON
"$folder/venv/bin/python" "$folder/twice.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
the first server: 200, all of its events came: True
the second server: 200, all of its events came: False
SEEN
