"""In slot 0 a worker that writes to its channel as fast as it can what the argument says; in the others an ordinary server."""
import array
import os
import socket
import sys

APP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "http-ws.js")
LINES = {
    "chatter": b'{"hello":"primary"}\n',
    "close": b'{"cmd":"NODE_CLUSTER","act":"close","key":"0.0.0.0:1:4:::0:0","seq":1}\n',
    "listen": b'{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"203.0.113.1","port":1,'
              b'"addressType":4,"fd":-1,"seq":1}\n',
    "files": b'{"hello":"a file for you"}\n',
}
LINES["reopen"] = LINES["listen"] + LINES["close"].replace(b"0.0.0.0:1:4:::0:0", b"203.0.113.1:1:4:-1:0")

if os.environ["LIMPET_SLOT"] != "0":
    os.execvp("node", ["node", APP])
line = LINES[sys.argv[1]]
channel = socket.socket(fileno=int(os.environ["NODE_CHANNEL_FD"]))
channel.setblocking(True)
attached = []
if sys.argv[1] == "files":
    fd = os.open("/dev/null", os.O_RDONLY)
    attached = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd] * 8))]
block = line if attached else line * (60000 // len(line))
while True:
    channel.sendmsg([block], attached)
