"""JSON by RFC 8259, read one character after the other: slow and obvious."""

from dataclasses import dataclass, field

WHITESPACE = " \t\r\n"
MAX_DEPTH = 512
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}
DIGITS = "0123456789"


class NotJsonError(Exception):
    pass


@dataclass
class Node:
    """A value. `raw` is its text as sent, without whitespace between tokens."""

    kind: str
    raw: str
    text: str = ""
    items: list["Node"] = field(default_factory=list)
    members: list[tuple[str, "Node"]] = field(default_factory=list)


class Reader:
    def __init__(self, line: str) -> None:
        self.line = line
        self.at = 0

    def peek(self) -> str:
        return self.line[self.at : self.at + 1]

    def expect(self, character: str) -> None:
        if self.peek() != character:
            raise NotJsonError(f"expected {character!r} at {self.at}")
        self.at += 1

    def skip(self) -> None:
        while self.peek() and self.peek() in WHITESPACE:
            self.at += 1

    def value(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise NotJsonError("too deep")
        match self.peek():
            case "{":
                return self.object(depth)
            case "[":
                return self.array(depth)
            case '"':
                start = self.at
                text = self.string()
                return Node("string", self.line[start : self.at], text=text)
            case "t" | "f" | "n":
                return self.literal()
            case _:
                return self.number()

    def object(self, depth: int) -> Node:
        members: list[tuple[str, Node]] = []
        raws = []
        self.expect("{")
        self.skip()
        while self.peek() != "}":
            if members:
                self.expect(",")
                self.skip()
            start = self.at
            name = self.string()
            raw_name = self.line[start : self.at]
            self.skip()
            self.expect(":")
            self.skip()
            member = self.value(depth + 1)
            members.append((name, member))
            raws.append(f"{raw_name}:{member.raw}")
            self.skip()
        self.expect("}")
        return Node("object", "{" + ",".join(raws) + "}", members=members)

    def array(self, depth: int) -> Node:
        items: list[Node] = []
        self.expect("[")
        self.skip()
        while self.peek() != "]":
            if items:
                self.expect(",")
                self.skip()
            items.append(self.value(depth + 1))
            self.skip()
        self.expect("]")
        return Node("array", "[" + ",".join(item.raw for item in items) + "]", items=items)

    def literal(self) -> Node:
        for word in ("true", "false", "null"):
            if self.line.startswith(word, self.at):
                self.at += len(word)
                return Node("null" if word == "null" else "bool", word)
        raise NotJsonError("no literal")

    def digits(self) -> None:
        if not self.peek() or self.peek() not in DIGITS:
            raise NotJsonError("expected a digit")
        while self.peek() and self.peek() in DIGITS:
            self.at += 1

    def number(self) -> Node:
        start = self.at
        if self.peek() == "-":
            self.at += 1
        if self.peek() == "0":
            self.at += 1
        else:
            self.digits()
        if self.peek() == ".":
            self.at += 1
            self.digits()
        if self.peek() in ("e", "E"):
            self.at += 1
            if self.peek() in ("+", "-"):
                self.at += 1
            self.digits()
        return Node("number", self.line[start : self.at])

    def string(self) -> str:
        self.expect('"')
        units: list[int] = []  # UTF-16, in which escapes come
        while self.peek() != '"':
            character = self.peek()
            if character == "" or character < " ":
                raise NotJsonError("a control character, or no end")
            self.at += 1
            if character == "\\":
                units.extend(self.escape())
            else:
                encoded = character.encode("utf-16-be")
                units.extend(
                    int.from_bytes(encoded[i : i + 2], "big") for i in range(0, len(encoded), 2)
                )
        self.at += 1
        try:
            return b"".join(unit.to_bytes(2, "big") for unit in units).decode("utf-16-be")
        except UnicodeDecodeError as error:
            raise NotJsonError("half a surrogate pair") from error

    def escape(self) -> list[int]:
        letter = self.peek()
        self.at += 1
        if letter in ESCAPES:
            return [ord(ESCAPES[letter])]
        if letter != "u":
            raise NotJsonError("no escape")
        code = self.line[self.at : self.at + 4]
        if len(code) < 4 or any(digit not in "0123456789abcdefABCDEF" for digit in code):
            raise NotJsonError("no escape")
        self.at += 4
        return [int(code, 16)]


def read_object(line: str) -> Node:
    """Read one line; raise `NotJsonError` if it is anything but one object."""
    reader = Reader(line)
    reader.skip()
    if reader.peek() != "{":
        raise NotJsonError("no object")
    node = reader.value(0)
    reader.skip()
    if reader.peek():
        raise NotJsonError("more than one value")
    return node
