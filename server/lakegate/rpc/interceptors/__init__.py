"""What every call passes through, in this order.

1. `calls`: the request id, the log line, and the status of a refusal.
2. `drain`: calls under way are counted; once the server stops, new ones are refused.
3. `auth`: the token, its permission and database, and its rate.
4. `public`: in place of the next for calls that need no token: few and small ones.
5. `admission`: a message is read when memory is reserved for it.

`wrapping` and `messages` are what they are made of. Health checks and reflection of gRPC itself
pass through `public` alone.
"""
