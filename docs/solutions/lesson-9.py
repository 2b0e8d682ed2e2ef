"""Stops a generation after its fifth token: closing the connection is all that HTTP/1.1 has."""

import http.client
import json
import os
import time
from urllib.parse import urlsplit

url = urlsplit(os.environ["PUSHBENCH_URL"])
connection = http.client.HTTPConnection(url.hostname, url.port)
connection.request("POST", url.path, os.environ["PUSHBENCH_ASK"], {"Content-Type": "application/json"})
response = connection.getresponse()

texts, event = 0, ""
while texts < 5:
    line = response.readline().decode().rstrip("\r\n")
    field, _, value = line.partition(": ")
    if field == "event":
        event = value
    elif field == "data" and event != "notice":
        print(json.loads(value)["text"].strip(), flush=True)
        texts += 1
    elif line == "":
        event = ""

# The response holds the socket too: both must go.
response.close()
connection.close()
time.sleep(1)
