"""PROXY protocol headers, versions 1 and 2, good and bad."""
import ipaddress
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
UNSPEC, TCP4, UDP4, TCP6, UDP6, UNIX = 0x00, 0x11, 0x12, 0x21, 0x22, 0x31


def v1(source, destination="192.0.2.1", source_port=1234, destination_port=80):
    family = "TCP6" if ":" in source else "TCP4"
    if family == "TCP6" and ":" not in destination:
        destination = "2001:db8::1"
    return f"PROXY {family} {source} {destination} {source_port} {destination_port}\r\n".encode()


def tlv(kind, value):
    return struct.pack(">BH", kind, len(value)) + value


def v2_raw(command, family, payload):
    return SIGNATURE + struct.pack(">BBH", command, family, len(payload)) + payload


def v2(source, destination=None, source_port=1234, destination_port=80, tlvs=b""):
    source = ipaddress.ip_address(source)
    destination = ipaddress.ip_address(destination or ("192.0.2.1" if source.version == 4 else "2001:db8::1"))
    payload = source.packed + destination.packed + struct.pack(">HH", source_port, destination_port) + tlvs
    return v2_raw(PROXY, TCP4 if source.version == 4 else TCP6, payload)
