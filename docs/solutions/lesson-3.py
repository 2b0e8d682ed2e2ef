"""What ChatGPT's page does: POST a prompt, and show the answer as it comes."""

import codecs
import http.client
import json
import os
import sys
from urllib.parse import urlsplit

url = urlsplit(os.environ["PUSHBENCH_URL"])
connection = http.client.HTTPConnection(url.hostname, url.port)
body = json.dumps({"message": os.environ["PUSHBENCH_MESSAGE"], "role": "user"})
connection.request("POST", "/api/gpt/get", body, {"Content-Type": "application/json"})
response = connection.getresponse()

# One decoder for the whole stream: a read may end inside a character.
decoder = codecs.getincrementaldecoder("utf-8")()
while chunk := response.read1(1024):
    sys.stdout.write(decoder.decode(chunk))
    sys.stdout.flush()
