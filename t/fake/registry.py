#!/usr/bin/env python3
"""A registry that misbehaves on command.

Prints "PORT OTHER" (two listeners, so two origins) and serves until its standard input ends. The first component of a
repository's path says how it behaves; all serve the same image: /v2/BEHAVIOUR/NAME/{manifests,blobs}/REFERENCE.
/http/... are plain answers for the client's own test. /count/PATH tells how often PATH was asked for,
/big the digest of the largest blob.
"""
import base64, collections, gzip, hashlib, http.server, io, json, os, sys, tarfile, threading, time, urllib.parse

USER, PASSWORD, TOKEN, REFRESH = "carol", "s3cret", "token-of-carol", "refresh-of-carol"
lock, counts = threading.Lock(), collections.Counter()
ports = []


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def noise(seed, size):
    return b"".join(hashlib.sha256(b"%s%d" % (seed, i)).digest() for i in range(size // 32))


class Image:
    def __init__(self, tag):
        tars = [layer({"bin/hello": b"#!/bin/sh\necho hello\n", "big": noise(b"big", 400000)}),
                layer({"etc/motd": b"welcome\n", "bin/second": b"2" * 9000}), layer({"tag": tag.encode()})]
        blobs = [gzip.compress(t, 6, mtime=0) for t in tars]
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"User": "1000:1000", "Cmd": ["/bin/hello"]},
                             "rootfs": {"type": "layers", "diff_ids": [sha(t) for t in tars]}}).encode()
        kind = "application/vnd.oci.image."
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
            "config": {"mediaType": kind + "config.v1+json", "digest": sha(config), "size": len(config)},
            "layers": [{"mediaType": kind + "layer.v1.tar+gzip", "digest": sha(b), "size": len(b)} for b in blobs]}).encode()
        index = json.dumps({"schemaVersion": 2, "mediaType": kind + "index.v1+json", "manifests": [
            {"mediaType": kind + "manifest.v1+json", "digest": sha(manifest), "size": len(manifest),
             "platform": {"os": "linux", "architecture": a}} for a in ("s390x", os.uname().machine.replace("x86_64", "amd64").replace("aarch64", "arm64"))]}).encode()
        self.manifest, self.index = manifest, index
        self.blobs = {sha(b): b for b in blobs + [config]}
        self.manifests = {sha(manifest): (manifest, kind + "manifest.v1+json"), sha(index): (index, kind + "index.v1+json")}


images = {tag: Image(tag) for tag in ("latest", "other", "index")}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    away = False

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", headers=(), length=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        form = urllib.parse.parse_qs(body.decode())
        if self.path == "/http/post":
            return self.answer(200, body)
        if self.path.startswith("/token") and form.get("grant_type") == ["refresh_token"] and form.get("refresh_token") == [REFRESH]:
            return self.answer(200, json.dumps({"access_token": TOKEN, "expires_in": 300}).encode())
        self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED"}]}')

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path.startswith("/count"):
            return self.answer(200, str(counts[path[6:]]).encode())
        if path == "/big":
            return self.answer(200, next(iter(images["latest"].blobs)).encode())
        with lock:
            counts[path] += 1
            self.nth = counts[path]
        try:
            if path.startswith("/http/"):
                self.plain(path[6:].split("/"))
            elif path.startswith("/token"):
                self.token()
            else:
                self.registry(path.split("/"))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def plain(self, p):
        what, arg = p[0], p[1] if len(p) > 1 else ""
        auth = self.headers.get("Authorization", "")
        if what == "bytes":
            self.answer(200, noise(b"bytes", int(arg)))
        elif what == "authorization":
            self.answer(200, auth.encode())
        elif what == "loop":
            self.answer(302, b"moved", [("Location", "/http/loop")])
        elif what == "same":
            self.answer(307, b"moved", [("Location", "../http/authorization")])
        elif what == "away":
            self.answer(302, b"x" * 100000, [("Location", "http://127.0.0.1:%d/http/authorization" % ports[1])])
        elif what == "toofar":
            self.answer(302, b"", [("Location", "file:///etc/passwd")])
        elif what == "silent":
            self.answer(200, b"abc", length=100)
            sys.stdin.read()
        elif what == "cut":
            self.answer(200, b"abc", length=100)
            self.close_connection = True
        elif what == "headers":
            self.answer(200, b"abc", [("X-%d" % i, "y" * 1000) for i in range(90)])
        elif what == "twice":
            self.answer(401, b"no", [("WWW-Authenticate", "Basic realm=a"), ("WWW-Authenticate", "  Bearer realm=b")])
        elif what == "gone":
            self.close_connection = True
        else:
            self.answer(404, b"")

    def token(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        basic = "Basic " + base64.b64encode(("%s:%s" % (USER, PASSWORD)).encode()).decode()
        if not query.get("scope", [""])[0].startswith("repository:") or not query["scope"][0].endswith(":pull"):
            return self.answer(400, b"{}")
        if "private" in query["scope"][0] and self.headers.get("Authorization") != basic:
            return self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}')
        self.answer(200, json.dumps({"token": TOKEN, "expires_in": 300}).encode())

    def allowed(self, how):
        auth = self.headers.get("Authorization", "")
        base = "http://127.0.0.1:%d" % ports[0]
        if how.startswith("bearer"):
            if auth == "Bearer " + TOKEN:
                return True
            self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED"}]}', [("WWW-Authenticate",
                        'Bearer realm="%s/token",service="fake",scope="repository:%s:pull"' % (base, "/".join(self.path.split("/")[2:4])))])
            return False
        if how.startswith("basic"):
            if auth == "Basic " + base64.b64encode(("%s:%s" % (USER, PASSWORD)).encode()).decode():
                return True
            self.answer(401, b"{}", [("WWW-Authenticate", 'Basic realm="fake"')])
            return False
        if how == "denied":
            self.answer(403, b'{"errors":[{"code":"DENIED","message":"not for you"}]}')
            return False
        return True

    def registry(self, p):
        if p == ["", "v2", ""]:
            return self.answer(200, b"{}")
        if len(p) < 6 or p[1] != "v2":
            return self.answer(404, b"{}")
        how, kind, ref = p[2], p[-2], p[-1]
        if self.away and self.headers.get("Authorization"):
            return self.answer(400, b"credentials went to another origin")
        if not self.away and not self.allowed(how):
            return
        if how == "missing":
            return self.answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        if how == "broken" or (how == "flaky" and self.nth < 3):
            return self.answer(500, b"oops")
        if how == "busy" and self.nth < 2:
            return self.answer(429, b"slow down", [("Retry-After", "1")])
        if kind == "manifests":
            self.manifest(how, ref)
        else:
            self.blob(how, ref)

    def manifest(self, how, ref):
        found = next((i.manifests[ref] for i in images.values() if ref in i.manifests), None)
        if ref in images:
            image = images[ref]
            found = image.manifests[sha(image.index if ref == "index" else image.manifest)]
        if not found:
            return self.answer(404, b"{}")
        body, kind = found
        if how == "huge":
            return self.answer(200, body + b" " * (5 << 20), [("Content-Type", kind)])
        digest = sha(b"lie") if how == "lies" else sha(body)
        self.answer(200, body, [("Content-Type", kind), ("Docker-Content-Digest", digest)])

    def blob(self, how, ref):
        body = next((i.blobs[ref] for i in images.values() if ref in i.blobs), None)
        if body is None or (how == "noblob" and len(body) > 100000):
            return self.answer(404, b"{}")
        big = len(body) > 100000
        if how == "redirect" or how == "bearerredirect":
            if not self.away:
                return self.answer(307, b"", [("Location", "http://127.0.0.1:%d%s" % (ports[1], self.path))])
        if how == "wrong" and big:
            body = body[:-1] + bytes([body[-1] ^ 1])
        if how == "long" and big:
            body += b"more"
        if how == "short" and big:
            return self.answer(200, body[:-1000])
        start = 0
        if self.headers.get("Range") and how != "norange":
            start = int(self.headers["Range"].split("=")[1].split("-")[0])
        headers = [("Content-Range", "bytes %d-%d/%d" % (start, len(body) - 1, len(body)))] if start else []
        if (how == "cut" or how == "norange") and big and self.nth < 3:
            self.close_connection = True
            return self.answer(206 if start else 200, body[start:start + 150000], headers, len(body) - start)
        if how == "cutforever" and big:
            self.close_connection = True
            return self.answer(200, body[:150000], length=len(body))
        if how == "silent" and big:
            self.answer(200, body[:1000], length=len(body))
            return sys.stdin.read()
        if how == "drip" and big:
            self.answer(200, length=len(body))
            for i in range(0, len(body), 20000):
                self.wfile.write(body[i:i + 20000])
                time.sleep(0.02)
            return
        self.answer(206 if start else 200, body[start:], headers)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client):
        pass  # clients here break off on purpose


class Away(Handler):
    away = True


def main():
    servers = [Server(("127.0.0.1", 0), h) for h in (Handler, Away)]
    for s in servers:
        ports.append(s.server_address[1])
        threading.Thread(target=s.serve_forever, daemon=True).start()
    print(*ports, flush=True)
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)


main()
