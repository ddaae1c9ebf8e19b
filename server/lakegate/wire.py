"""What Envoy and the server agree on beside the contract: headers and request ids."""

REQUEST_ID_KEY = "x-request-id"
# A caller's own request id: printable ASCII, of limited length. Another one is replaced.
REQUEST_ID_CHARACTER = "[ -~]"
MAX_REQUEST_ID_CHARACTERS = 255

# On a request, set by Envoy, which drops the caller's own.
BODY_END_KEY = "lakegate-body-end"  # ends.lua: `mark WORD`, `mark` for no body, or nothing
BODY_MARK_KEY = "lakegate-body-mark"  # an unguessable word for ends.lua
HOST_KEY = "lakegate-host"  # the host that the request is for
EXPECTED_SIZE_KEY = "lakegate-expected-bytes"  # ends.lua: the Content-Length; 0 where unknown

# On an answer, removed by errors.lua.
HTTP_STATUS_KEY = "lakegate-http-status"
ERROR_BODY_KEY = "lakegate-error-body"
NOT_SENT_KEY = "lakegate-not-sent"  # on errors of requests that were not sent to the server

# On an answer, for the caller.
WARNING_KEY = "x-lakegate-warning"
