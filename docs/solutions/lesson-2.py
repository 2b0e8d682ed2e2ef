"""A parser of event streams (WHATWG HTML, 9.2.6): chunks in hex, events as JSON."""

import codecs
import json
import re
import sys


class Parser:
    def __init__(self, dispatch):
        self.dispatch = dispatch
        # One for the whole stream: it keeps the bytes of a character that is not whole yet.
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.text = ""
        self.started = False
        self.skip_lf = False
        self.data, self.event, self.id = [], "", ""

    def push(self, chunk):
        if self.skip_lf and chunk:
            self.skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        self.text += self.decoder.decode(chunk)
        if not self.started and self.text:
            self.started = True
            self.text = self.text.removeprefix("\ufeff")
        while True:
            end = re.search("[\r\n]", self.text)
            if not end:
                return
            line, rest = self.text[:end.start()], self.text[end.start():]
            if rest == "\r":
                # A LF may come and would belong to it, but the line need not wait.
                self.text = ""
                self.skip_lf = True
            elif rest.startswith("\r\n"):
                self.text = rest[2:]
            else:
                self.text = rest[1:]
            self.line(line)

    def line(self, line):
        if line == "":
            if self.data:
                self.dispatch(self.event or "message", "\n".join(self.data), self.id)
            self.data, self.event = [], ""
            return
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self.data.append(value)
        elif field == "event":
            self.event = value
        elif field == "id" and "\0" not in value:
            self.id = value


def show(event, data, last_id):
    print(json.dumps({"event": event, "data": data, "id": last_id}), flush=True)


parser = Parser(show)
for line in sys.stdin:
    parser.push(bytes.fromhex(line.strip()))
