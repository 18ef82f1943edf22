#!/usr/bin/env python3
"""A TCP proxy in front of nfsd that can spoil exactly one request.

    rpcproxy.py PORT

Runs in the server's guest. `lab.sh fault OP ACTION CLIENT` leaves an empty file with that name in /run/faults; the
client's next request OP removes it and meets its fault. OP is NFS's name of the operation: LINK, REMOVE, RENAME,
SETATTR, GETATTR, OPEN (v4), CREATE (v3), ...; an NFSv4 compound goes by the first operation that does something.

    lostreply        it is executed; the reply is lost with the connection. The client repeats it, and the server
                     answers from its reply cache.
    lostreply+flush  the same, but the server has lost its reply cache: it executes the request a second time.
    lostcall         it is lost with the connection, unexecuted. The client repeats it.
    dup              the server gets it twice.
    swallow          it is lost, and the connection stays: the client waits.
    late=SECONDS     it reaches the server late; others overtake it.
    delay=SECONDS    the reply comes late.

Faults and new connections are logged to stderr.
"""

import os
import socket
import struct
import subprocess
import sys
import threading
import time

NFSD = ("127.0.0.1", 2049)
NFS_PROGRAM = 100003
FAULTS = "/run/faults"
FLUSH = "rpc.nfsd 0; rpc.nfsd 8"
CALL, REPLY = 0, 1

V3 = dict(enumerate(
    "NULL GETATTR SETATTR LOOKUP ACCESS READLINK READ WRITE CREATE MKDIR SYMLINK MKNOD REMOVE RMDIR RENAME LINK "
    "READDIR READDIRPLUS FSSTAT FSINFO PATHCONF COMMIT".split()))
V4 = {3: "ACCESS", 4: "CLOSE", 5: "COMMIT", 6: "CREATE", 8: "DELEGRETURN", 9: "GETATTR", 11: "LINK", 12: "LOCK",
      14: "LOCKU", 15: "LOOKUP", 18: "OPEN", 20: "OPEN_CONFIRM", 24: "PUTROOTFH", 25: "READ", 26: "READDIR",
      28: "REMOVE", 29: "RENAME", 30: "RENEW", 34: "SETATTR", 35: "SETCLIENTID", 38: "WRITE", 42: "EXCHANGE_ID",
      43: "CREATE_SESSION", 58: "RECLAIM_COMPLETE"}
PUTFH, SAVEFH, SEQUENCE = 22, 32, 53  # what a compound begins with

server_is_back = threading.Event()  # clear while nfsd restarts
server_is_back.set()


def log(*words):
    print("%.3f" % time.time(), *words, file=sys.stderr, flush=True)


def after_opaque(message, at):
    """The offset behind a variable-length field: its length, then its bytes, padded to four."""
    (length,) = struct.unpack_from(">I", message, at)
    return at + 4 + (length + 3 & ~3)


def operation(call):
    """The name of the operation that an RPC call asks for."""
    _xid, _type, _rpc, program, version, procedure = struct.unpack_from(">6I", call)
    if program != NFS_PROGRAM:
        return "OTHER"
    if version == 3:
        return V3.get(procedure, "OTHER")
    if procedure == 0:
        return "NULL"
    at = after_opaque(call, 24 + 4)  # credentials, behind their flavour
    at = after_opaque(call, at + 4)  # verifier, likewise
    at = after_opaque(call, at)  # tag
    _minor, count = struct.unpack_from(">2I", call, at)
    at += 8
    for _ in range(count):
        (number,) = struct.unpack_from(">I", call, at)
        at += 4
        if number == SEQUENCE:
            at += 32
        elif number == PUTFH:
            at = after_opaque(call, at)
        elif number != SAVEFH:
            return V4.get(number, "OTHER")
    return "OTHER"


def take_fault(op, client):
    """The action that waits for this request, which is then used up."""
    for name in os.listdir(FAULTS):
        wanted_op, action, wanted_client, _nonce = name.split()
        if (wanted_op, wanted_client) == (op, client):
            try:
                os.unlink(os.path.join(FAULTS, name))
            except FileNotFoundError:
                continue  # another connection was first
            return action
    return None


def receive_exactly(sock, count):
    data = bytearray()
    while len(data) < count:
        chunk = sock.recv(count - len(data))
        if not chunk:
            raise ConnectionError("closed")
        data += chunk
    return bytes(data)


def receive(sock):
    """One RPC message, put together from its fragments."""
    message = b""
    while True:
        (header,) = struct.unpack(">I", receive_exactly(sock, 4))
        message += receive_exactly(sock, header & 0x7FFFFFFF)
        if header & 0x80000000:
            return message


def send(sock, message):
    sock.sendall(struct.pack(">I", 0x80000000 | len(message)) + message)


class Connection:
    """A client's connection, and ours to nfsd in its name."""

    def __init__(self, client, address):
        ip, port = address
        self.name = "c" + ip.split(".")[2]
        self.client = client
        self.server = socket.socket()
        # The reply cache knows a client by address and port: show nfsd a different address for each, and its own port.
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.server.bind(("127.9.%s.2" % ip.split(".")[2], port))
        self.server.connect(NFSD)
        for sock in (self.client, self.server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = {}  # xid: (operation, action)
        self.calling = threading.Lock()

    def reset(self):
        """Closes both sides with a RST, so that the port is free for the client to come back."""
        for sock in (self.client, self.server):
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed already
            sock.close()

    def pump(self, direction):
        try:
            while direction():
                pass
        except OSError:
            pass  # one side closed: so does the other
        finally:
            self.reset()

    def forward_call(self):
        call = receive(self.client)
        xid, kind = struct.unpack_from(">2I", call)
        if kind == CALL:
            op = operation(call)
            action = take_fault(op, self.name)
            if action:
                log(self.name, op, "%08x" % xid, action)
            self.pending[xid] = op, action
            if action == "lostcall":
                return False
            if action == "swallow":
                return True
            if action == "dup":
                self.call(call)
            if action and action.startswith("late="):
                threading.Timer(float(action.partition("=")[2]), self.call, [call]).start()
                return True
        self.call(call)
        return True

    def call(self, call):
        with self.calling:
            send(self.server, call)

    def forward_reply(self):
        reply = receive(self.server)
        xid, kind = struct.unpack_from(">2I", reply)
        _op, action = self.pending.pop(xid, (None, None)) if kind == REPLY else (None, None)
        if action == "lostreply":
            return False
        if action == "lostreply+flush":
            server_is_back.clear()
            self.reset()
            subprocess.run(FLUSH, shell=True, check=False)
            server_is_back.set()
            return False
        if action and action.startswith("delay="):
            time.sleep(float(action.partition("=")[2]))
        send(self.client, reply)
        return True


def serve(client, address):
    server_is_back.wait()
    try:
        connection = Connection(client, address)
    except OSError as error:  # nfsd is down: the client will try again
        log(address, error)
        client.close()
        return
    log(connection.name, "connected from port", address[1])
    threading.Thread(target=connection.pump, args=(connection.forward_reply,), daemon=True).start()
    connection.pump(connection.forward_call)


def main():
    listener = socket.create_server(("0.0.0.0", int(sys.argv[1])), backlog=64)
    while True:
        threading.Thread(target=serve, args=listener.accept(), daemon=True).start()


main()
