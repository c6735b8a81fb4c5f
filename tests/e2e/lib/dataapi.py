# dataapi.py - stands in for the Google Analytics Data API: properties.runRealtimeReport, as its reference describes it
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATH = re.compile(r"/v1beta/properties/(\d+):runRealtimeReport")
TOKEN = "ya29.CANARY-token_9f3"


def error(code, status, message, reason=None):
    """Google's form of an error."""
    body = {"code": code, "message": message, "status": status}
    if reason:
        body["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com",
                            "metadata": {"service": "analyticsdata.googleapis.com"}}]
    return code, {"error": body}


class DataApi:
    """Reports of an event once `events()` has had its name, and only after `late` further questions."""

    def __init__(self, events=lambda: [], late=0):
        self.events, self.late = events, late
        self.disabled_for = None          # the token is a user's: without another project the API is disabled
        self.errors = []                  # answers for the next requests, None for a report
        self.stall = lambda: None         # called for each question
        self.requests = []                # (headers, path, body)
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                api.stall()
                api.requests.append((dict(self.headers), self.path, body))
                code, answer = api.answer(self.headers, self.path, body)
                data = answer if isinstance(answer, bytes) else json.dumps(answer, indent=2).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json; charset=UTF-8")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, headers, path, body):
        match = PATH.fullmatch(path)
        if self.errors:
            planned = self.errors.pop(0)
            if planned:
                return planned
        if not match:
            return error(404, "NOT_FOUND", "Method not found.")
        if headers["Authorization"] != f"Bearer {TOKEN}":
            return error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token, "
                         "login cookie or other valid authentication credential.")
        if self.disabled_for is not None and headers.get("x-goog-user-project") in (None, self.disabled_for):
            return error(403, "PERMISSION_DENIED", "Google Analytics Data API has not been used in project 32555940559 before or it "
                         "is disabled.", "SERVICE_DISABLED")
        if match[1] != "1234":
            return error(403, "PERMISSION_DENIED", "User does not have sufficient permissions for this property. To learn more about "
                         "Property ID, see https://developers.google.com/analytics/devguides/reporting/data/v1/property-id.")
        return self.report(body)

    def report(self, body):
        """What the reference allows, and no more."""
        if set(body) != {"dimensions", "metrics", "dimensionFilter", "minuteRanges"}:
            return error(400, "INVALID_ARGUMENT", f"Invalid JSON payload received. Unknown name: {sorted(body)}")
        [minutes] = body["minuteRanges"]
        if not 0 <= minutes["endMinutesAgo"] <= minutes["startMinutesAgo"] <= 29:
            return error(400, "INVALID_ARGUMENT", "Standard properties: startMinutesAgo must be at most 29.")
        if body["dimensions"] != [{"name": "eventName"}] or body["metrics"] != [{"name": "eventCount"}]:
            return error(400, "INVALID_ARGUMENT", "Field is not a valid dimension.")
        wanted = body["dimensionFilter"]["filter"]
        assert wanted["fieldName"] == "eventName" and wanted["stringFilter"]["matchType"] == "EXACT"
        name = wanted["stringFilter"]["value"]
        n = self.events().count(name)
        answer = {"dimensionHeaders": [{"name": "eventName"}], "metricHeaders": [{"name": "eventCount", "type": "TYPE_INTEGER"}]}
        if n and self.late > 0:
            self.late -= 1
        elif n:
            answer |= {"rows": [{"dimensionValues": [{"value": name}], "metricValues": [{"value": str(n)}]}], "rowCount": 1}
        return 200, answer | {"kind": "analyticsData#runRealtimeReport"}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
