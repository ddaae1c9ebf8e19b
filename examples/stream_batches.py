"""Many batches in flight over gRPC, resumed after a crash of either side.

The batches of a stream are numbered. A client that comes back asks which offset is next, and
goes on from there: nothing is lost, nothing is there twice.

Usage: stream_batches.py [HOST:PORT]
"""

import sys
from collections.abc import Iterator

import grpc

from lakegate.v1.ingest_pb2 import GetStreamRequest, IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub

TABLE = "clicks"
STREAM = "clicks-of-example"
BATCHES = 20


def batches(first: int) -> Iterator[IngestRequest]:
    """Make the batches from offset `first` on. The source must be able to make them again."""
    for offset in range(first, BATCHES):
        rows = b"".join(b'{"click":"%d-%d"}\n' % (offset, row) for row in range(10))
        yield IngestRequest(table=TABLE, ndjson=rows, stream_id=STREAM, offset=offset)


def main(address: str = "localhost:8080") -> None:
    """Send what is not committed yet."""
    with grpc.insecure_channel(address.removeprefix("http://")) as channel:
        lakegate = IngestServiceStub(channel)
        stream = lakegate.GetStream(GetStreamRequest(table=TABLE, stream_id=STREAM))
        print("the stream goes on with offset", stream.next_offset)
        committed = 0
        # Answers come in the order of the batches; a refused batch does not end the stream.
        for answer in lakegate.IngestStream(batches(stream.next_offset)):
            if answer.WhichOneof("result") == "error":
                print("refused:", answer.error.message, file=sys.stderr)
                break
            committed += answer.acknowledgement.rows_ingested
        print(committed, "rows committed")


if __name__ == "__main__":
    main(*sys.argv[1:])
