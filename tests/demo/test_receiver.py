import http.client
from urllib.parse import urlsplit

from demo.receiver import receiving


def test_each_job_is_turned_away_once_and_then_taken():
    with receiving() as url:
        parts = urlsplit(url)

        def deliver(job):
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
            connection.request("POST", parts.path, b"{}", {"Idempotency-Key": job})
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return answer.status, answer.headers.get("Retry-After")

        assert deliver("a") == (503, "1")
        assert deliver("b") == (503, "1")
        assert deliver("a") == (204, None)
