"""An event stream that is read to its end, however often its connections are cut."""

import http.client
import json
import os
import time
from urllib.parse import urlsplit

url = urlsplit(os.environ["PUSHBENCH_URL"])
last_id, retry_s, over = "", 1.0, False


def lines(response):
    """Whole lines only: what the cut left unfinished never happened."""
    while True:
        line = response.readline()
        if not line.endswith(b"\n"):
            return
        yield line.rstrip(b"\r\n").decode()


def read(response):
    """Until the connection ends. An id counts once its event is dispatched."""
    global last_id, retry_s, over
    event, data, new_id = "", [], last_id
    for line in lines(response):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            last_id = new_id
            text = "\n".join(data)
            if data and event == "notice":
                over = json.loads(text).get("notice") == "end"
            elif data:
                print(json.dumps({"id": last_id, "text": json.loads(text)["text"]}), flush=True)
            event, data = "", []
            if over:
                return
        elif field == "data":
            data.append(value)
        elif field == "event":
            event = value
        elif field == "id":
            new_id = value
        elif field == "retry" and value.isdigit():
            retry_s = int(value) / 1000


while not over:
    connection = http.client.HTTPConnection(url.hostname, url.port)
    headers = {"Accept": "text/event-stream"}
    if last_id:
        headers["Last-Event-ID"] = last_id
    try:
        connection.request("GET", f"{url.path}?{url.query}", headers=headers)
        response = connection.getresponse()
        if response.status == 204:
            break
        if response.status != 200:
            raise SystemExit(f"status {response.status}")
        read(response)
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()
    if not over:
        time.sleep(retry_s)
