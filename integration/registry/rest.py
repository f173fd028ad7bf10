"""HTTP as a script speaks it: one connection, kept alive."""

import base64
import http.client
import json
import urllib.parse

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


class Connection:
    """A registry at `url`, which may have a path and a user before the host."""

    def __init__(self, url, timeout=30):
        parts = urllib.parse.urlsplit(url)
        self.base = parts.path.rstrip("/")
        self.http = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        self.headers = {"Content-Type": CONTENT_TYPE, "Accept": CONTENT_TYPE + ", application/json"}
        if parts.username:
            user = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
            self.headers["Authorization"] = f"Basic {user}"

    def request(self, method, path, body=None, headers=None):
        """Status and body, as bytes. A connection that the other side has closed is opened once more, for what changes nothing."""
        again = method == "GET"
        while True:
            try:
                self.http.request(method, self.base + path, body, {**self.headers, **(headers or {})})
                answer = self.http.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, ConnectionError):
                self.http.close()
                if not again:
                    raise
                again = False

    def json(self, method, path, value=None):
        """Status and body, both ways as JSON."""
        status, body = self.request(method, path, None if value is None else json.dumps(value).encode())
        return status, json.loads(body) if body else None
