"""A loopback TCP port in front of a Unix socket, for programs that know only TCP.

    bridge.py SOCKET           serve; prints the address on the first line
    bridge.py --probe SOCKET   exit 0 if the daemon behind the socket answers

Each connection carries one request: its `Host` becomes `docks`, since the
daemon refuses foreign ones, and `Connection: close` is added. Nothing else is
changed, so a peer's oddities reach the daemon as they are.
"""

import socket
import sys
import threading

HEAD_LIMIT = 1 << 20


def read_head(peer):
    """Returns everything up to the blank line, and what came after it."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = peer.recv(65536)
        if not chunk or len(data) > HEAD_LIMIT:
            return None, b""
        data += chunk
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def rewrite(head):
    """Puts our host and `Connection: close` in place of the peer's."""
    first, *lines = head.split(b"\r\n")
    dropped = (b"host", b"connection", b"keep-alive")
    kept = [line for line in lines if line.split(b":", 1)[0].strip().lower() not in dropped]
    return b"\r\n".join([first, b"Host: docks", b"Connection: close", *kept]) + b"\r\n\r\n"


def pump(source, sink):
    """Copies until the source ends, then passes the end on."""
    try:
        while chunk := source.recv(65536):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve_one(peer, path):
    with peer, socket.socket(socket.AF_UNIX) as daemon:
        try:
            head, rest = read_head(peer)
            if head is None:
                return
            daemon.connect(path)
            daemon.sendall(rewrite(head) + rest)
        except OSError:
            return
        threading.Thread(target=pump, args=(peer, daemon), daemon=True).start()
        pump(daemon, peer)


def probe(path):
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.settimeout(5)
        daemon.connect(path)
        daemon.sendall(b"GET /v1/status HTTP/1.1\r\nHost: docks\r\nConnection: close\r\n\r\n")
        return daemon.recv(64).startswith(b"HTTP/1.1 200")


def main(arguments):
    if arguments[:1] == ["--probe"]:
        return 0 if probe(arguments[1]) else 1
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=serve_one, args=(peer, arguments[0]), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
