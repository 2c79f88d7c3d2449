"""Asks for /side over one HTTP/2 connection until the side that is waited for has answered often
enough; says what it saw as JSON. Arguments: ip, certificate, side."""

import json
import socket
import sys

import httpx

ip, certificate, side = sys.argv[1:]
look_up = socket.getaddrinfo
# Stands in for a DNS entry of the site's name.
socket.getaddrinfo = lambda _, *more, **named: look_up(ip, *more, **named)
seen, versions, bad = {}, set(), []
with httpx.Client(http2=True, verify=certificate, timeout=30) as client:
    while seen.get(side, 0) < 50 and len(bad) < 10:
        answer = client.get("https://www.ispot.example:8443/side")
        versions.add(answer.http_version)
        if answer.status_code == 200:
            seen[answer.text] = seen.get(answer.text, 0) + 1
        else:
            bad.append(answer.status_code)
print(json.dumps({"seen": seen, "versions": sorted(versions), "bad": bad}))
