"""A parser of event streams (WHATWG HTML, 9.2.6): chunks in hexadecimal, events as JSON."""

import codecs
import json
import sys


class Parser:
    def __init__(self, dispatch):
        self.dispatch = dispatch
        # One decoder for the whole stream keeps the bytes of a character that has not come whole.
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.text = ""
        self.started = False
        self.data, self.event, self.id = [], "", ""

    def push(self, chunk):
        self.text += self.decoder.decode(chunk)
        if not self.started and self.text:
            self.started = True
            self.text = self.text.removeprefix("\ufeff")
        while True:
            ends = [at for at in (self.text.find("\r"), self.text.find("\n")) if at >= 0]
            if not ends:
                return
            end = min(ends)
            line, rest = self.text[:end], self.text[end:]
            if rest == "\r":
                # A LF may come, and would belong to it. The line itself is whole: it need not wait.
                self.text = ""
                self.skip_lf = True
            elif rest.startswith("\r\n"):
                self.text = rest[2:]
            else:
                self.text = rest[1:]
            self.line(line)

    skip_lf = False

    def feed(self, chunk):
        if self.skip_lf and chunk:
            self.skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        self.push(chunk)

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
    parser.feed(bytes.fromhex(line.strip()))
