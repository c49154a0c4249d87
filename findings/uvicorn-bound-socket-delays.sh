#!/usr/bin/env bash
# uvicorn 0.54.0 on asyncio: a server whose socket uvicorn binds beforehand, as it does for `--workers` and `--reload`
# (`Config.bind_socket`), or that is given one of `socket.create_server`, has connections without TCP_NODELAY; one that
# listens by itself has them with it.
#
# asyncio sets the option only for sockets whose protocol number is that of TCP, and these two are made with 0. An answer
# whose head and body are written apart may then wait for the client's acknowledgement, about 40 ms on Linux.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uvicorn==0.54.0 h11==0.16.0
cat > "$folder/options.py" <<'PYTHON'
import asyncio
import socket

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol


class Looking(H11Protocol):
    def connection_made(self, transport):
        super().connection_made(transport)
        option = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        print(f"{self.how}: {bool(option)}")


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def serve(how, bind):
    Looking.how = how
    config = uvicorn.Config(app, host="127.0.0.1", port=0, http=Looking, lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=bind(config)))
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    await reader.read()
    writer.close()
    server.should_exit = True
    await serving


asyncio.run(serve("listens by itself", lambda config: None))
asyncio.run(serve("Config.bind_socket", lambda config: [config.bind_socket()]))
asyncio.run(serve("socket.create_server", lambda config: [socket.create_server(("127.0.0.1", 0))]))
PYTHON
"$folder/venv/bin/python" "$folder/options.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
listens by itself: True
Config.bind_socket: False
socket.create_server: False
SEEN
