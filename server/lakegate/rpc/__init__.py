"""gRPC: one servicer per proto service, the interceptors, the server."""

import os

# Read when grpc is first imported. The server starts Envoy, but never forks itself.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
