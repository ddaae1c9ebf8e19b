"""gRPC: one servicer per proto service, the interceptors, the server."""
