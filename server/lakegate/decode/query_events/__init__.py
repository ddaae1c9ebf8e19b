"""Query events: protobuf messages to rows."""
