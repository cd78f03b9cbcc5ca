"""The language server, over the protocol that editors speak.

RUN: %python %s %test_root/compat/0.1.0.mlirbc
"""

import base64
import json
import pathlib
import queue
import subprocess
import sys
import threading

WAIT = 60  # seconds after which the server counts as hung

GOOD = """\
func.func @angles(%positions: tensor<?xi64>, %out: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %ladder = rope.frequencies base(5.0e+05) : tensor<64xf64>
  %cos, %sin = rope.table ins(%positions, %ladder : tensor<?xi64>, tensor<64xf64>)
                          outs(%out, %out : tensor<?x64xf32>, tensor<?x64xf32>)
  return %cos : tensor<?x64xf32>
}
func.func @caller(%p: tensor<?xi64>, %o: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %r = call @angles(%p, %o) : (tensor<?xi64>, tensor<?x64xf32>) -> tensor<?x64xf32>
  return %r : tensor<?x64xf32>
}
"""
BAD = GOOD.replace("base(5.0e+05)", "base(-1.0)")


class Server:
    """A running server. Messages are framed by their length."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["rope-lsp-server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.received = queue.Queue()
        self.id = 0
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        output = self.process.stdout
        while header := output.readline():
            length = None
            while header.strip():
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
                header = output.readline()
            self.received.put(json.loads(output.read(length)))
        self.received.put(None)

    def send_bytes(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, message):
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.send_bytes(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))

    def receive(self):
        return self.received.get(timeout=WAIT)

    def request(self, method, params):
        self.id += 1
        self.send({"id": self.id, "method": method, "params": params})
        answer = self.receive()
        assert answer["id"] == self.id, answer
        return answer

    def ask(self, method, **params):
        answer = self.request(method, params)
        assert "result" in answer, answer
        return answer["result"]

    def diagnostics(self, method, **params):
        """What the server says on its own about a document that changed."""
        self.send({"method": method, "params": params})
        message = self.receive()
        assert message["method"] == "textDocument/publishDiagnostics", message
        return message["params"]["diagnostics"]

    def initialize(self):
        return self.ask(
            "initialize",
            processId=None,
            rootUri=None,
            capabilities={"textDocument": {"documentSymbol": {"hierarchicalDocumentSymbolSupport": True}}},
        )

    def wait(self):
        return self.process.wait(timeout=WAIT)


def place(text, what, nth=0, behind=0):
    """Line and column of the n-th occurrence."""
    at = -1
    for _ in range(nth + 1):
        at = text.index(what, at + 1)
    before = text[: at + behind]
    return {"line": before.count("\n"), "character": len(before) - (before.rfind("\n") + 1)}


def expect(found, expected):
    assert found == expected, f"expected {expected}, got {found}"


def test_session(bytecode):
    server = Server()
    capabilities = server.initialize()["capabilities"]
    for offered in [
        "hoverProvider",
        "definitionProvider",
        "referencesProvider",
        "completionProvider",
        "documentSymbolProvider",
    ]:
        assert capabilities.get(offered), f"the server does not offer {offered}"
    server.send({"method": "initialized", "params": {}})

    document = {"uri": "file:///model.mlir"}
    expect(
        server.diagnostics(
            "textDocument/didOpen",
            textDocument={**document, "languageId": "mlir", "version": 1, "text": GOOD},
        ),
        [],
    )

    def at(*where, **more):
        return {"textDocument": document, "position": place(GOOD, *where), **more}

    hover = server.ask("textDocument/hover", **at("rope.table"))["contents"]["value"]
    assert '"rope.table"' in hover and "precision = #rope.precision<exact>" in hover, hover

    definition = server.ask("textDocument/definition", **at("%ladder", 1, 1))
    expect([found["range"]["start"] for found in definition], [place(GOOD, "%ladder")])
    definition = server.ask("textDocument/definition", **at("@angles", 1, 1))
    expect([found["range"]["start"] for found in definition], [place(GOOD, "func.func @angles")])

    references = server.ask(
        "textDocument/references", **at("%positions", 0, 1, context={"includeDeclaration": True})
    )
    expect(
        sorted(found["range"]["start"]["line"] for found in references),
        [place(GOOD, "%positions", n)["line"] for n in range(2)],
    )

    symbols = server.ask("textDocument/documentSymbol", textDocument=document)
    expect([symbol["name"] for symbol in symbols], ["angles", "caller"])

    # What is wrong is shown where it is, by its rule, and goes with the mistake.
    def change(version, text):
        return server.diagnostics(
            "textDocument/didChange",
            textDocument={**document, "version": version},
            contentChanges=[{"text": text}],
        )

    [wrong] = change(2, BAD)
    assert "(frequencies_c2)" in wrong["message"], wrong
    expect(wrong["range"]["start"], place(BAD, "rope.frequencies"))
    expect(change(3, GOOD), [])

    # Operations and values are offered as they are typed.
    half = GOOD.replace("rope.table ins", "rope.")
    change(4, half)
    offered = server.ask(
        "textDocument/completion",
        textDocument=document,
        position=place(half, "rope.", 1, 5),
        context={"triggerKind": 2, "triggerCharacter": "."},
    )
    labels = {item["label"].removeprefix("rope.") for item in offered["items"]}
    assert {"table", "apply", "attention"} <= labels, labels

    # A file of bytecode is opened as text and saved again.
    uri = pathlib.Path(bytecode).as_uri()
    text = server.ask("mlir/convertFromBytecode", uri=uri)["output"]
    assert "rope.attention" in text, text
    expect(
        server.diagnostics(
            "textDocument/didOpen",
            textDocument={"uri": "file:///opened.mlir", "languageId": "mlir", "version": 1, "text": text},
        ),
        [],
    )
    saved = server.ask("mlir/convertToBytecode", uri="file:///opened.mlir")["output"]
    assert base64.b64decode(saved).startswith(b"ML\xefR"), saved

    # Nonsense is answered, and the session goes on.
    assert "error" in server.request("textDocument/fly", {}), "an unknown request has no error"
    assert "error" in server.request("textDocument/hover", {"textDocument": 3}), (
        "wrong parameters have no error"
    )
    server.send({"method": "textDocument/unknown", "params": {}})
    server.send_bytes(b"Content-Length: 9\r\n\r\n{not json")
    server.send_bytes(b"Other: header\r\n\r\n")
    hover = server.ask("textDocument/hover", **at("rope.frequencies"))
    server.send({"method": "textDocument/didClose", "params": {"textDocument": document}})
    expect(server.receive()["params"]["diagnostics"], [])

    expect(server.ask("shutdown"), None)
    server.send({"method": "exit"})
    expect(server.wait(), 0)


def test_ends():
    """Ends of input, and what is no message at all, end the server and do not hang it."""
    header = b"Content-Length: %d\r\n\r\n"
    for data in [
        b"",
        b"garbage without an end",
        b"\x00\xff" * 1000,
        header % 100 + b"{",
        header % 0,
        b"Content-Length: -5\r\n\r\n{}",
        b"Content-Length: 99999999999999999999\r\n\r\n{}",
        b"Content-Length: x\r\n\r\n{}",
        b"\r\n\r\n" * 100,
        header % 2 + b"[]",
        header % 4 + b"null",
        header % 1000 + b"[" * 1000,
    ]:
        server = Server()
        server.send_bytes(data)
        server.process.stdin.close()
        code = server.wait()
        assert code >= 0, f"{data[:40]} ends the server by signal {-code}"


test_session(sys.argv[1])
test_ends()
