"""socketcluster-server behind limpet, with its own client."""


def test_calls_of_one_client_reach_one_worker(limpet, app, client):
    front = limpet(app("socketcluster.js"), listen="127.0.0.1:0", workers=2)
    front.wait_ready(2)
    seen = set()
    for number in range(10):
        source = f"127.0.0.{number + 1}"
        for _ in range(2):
            answers = client("socketcluster.js", "127.0.0.1", front.port, source)["answers"]
            assert [answer["echo"] for answer in answers] == list(range(5))
            assert len({answer["pid"] for answer in answers}) == 1
        seen |= {answer["pid"] for answer in answers}
    assert len(seen) == 2
