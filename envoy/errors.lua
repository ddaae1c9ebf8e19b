-- What Envoy does to a REST request before it is transcoded, and to an error on
-- its way back. Native gRPC passes as it is, but for its request id.
--
-- Errors come from three places. The server sends the whole body along with its
-- gRPC status, in metadata. gRPC itself sends a bare status. Envoy's own refusals
-- come with the body that `local_reply_config` gave them.

local MAX_REQUEST_ID = 128
local INFLATE_TIMEOUT_MS = 60000
local ENCODINGS = {identity = true, gzip = true, ["x-gzip"] = true, zstd = true}

-- A longer value is not quoted in a message.
local MAX_QUOTED = 100

-- The words of the enumerations of lakegate/v1/query_events.proto.
local ENUMS = {
  ["QueryEvent.QueryState"] = "FINISHED, SUCCEEDED, FAILED",
  ["QueryContext.QueryType"] = "SELECT, EXPLAIN, DESCRIBE, INSERT, UPDATE, DELETE, ANALYZE, "
    .. "DATA_DEFINITION, ALTER_TABLE_EXECUTE, MERGE",
  ["ErrorCode.Type"] = "USER_ERROR, INTERNAL_ERROR, INSUFFICIENT_RESOURCES, EXTERNAL",
}

-- What a REST caller has no use for.
local GRPC_HEADERS = {
  "grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-accept-encoding",
  "lakegate-http-status", "lakegate-error-code", "lakegate-error-body",
}

-- Where the request is remembered for its response.
local MEMORY = "lakegate"

function envoy_on_request(handle)
  local headers = handle:headers()
  local request_id = printable(headers:get("x-request-id") or ""):sub(1, MAX_REQUEST_ID)
  headers:replace("x-request-id", request_id)
  headers:remove("lakegate-expected-bytes")
  drop_what_grpc_cannot_carry(headers)
  if (headers:get("content-type") or ""):find("^application/grpc") then
    return
  end
  handle:streamInfo():dynamicMetadata():set(MEMORY, "request_id", request_id)

  local encoding = (headers:get("content-encoding") or "identity"):lower()
  local length = tonumber(headers:get("content-length") or "")
  local max_length = handle:filterContext():get("max_body_bytes")
  if encoding == "identity" and (length or 0) > max_length then
    -- Known before the body is sent, so said before it is sent.
    refuse(handle, "413", "body_too_large", request_id,
      string.format("the body is larger than %d bytes: split it into smaller batches", max_length))
  elseif not ENCODINGS[encoding] then
    refuse(handle, "415", "unsupported_media_type", request_id,
      "Content-Encoding must be gzip, zstd or identity")
  elseif headers:get(":path"):find("^/v1/ingest") then
    -- The transcoder makes chunks of the body and drops its length, but the
    -- server wants to know how much memory to set aside; 0: for a chunk at a time.
    headers:add("lakegate-expected-bytes", tostring(encoding == "identity" and length or 0))
  elseif headers:get(":path"):find("^/ingest/push/queries") then
    if encoding ~= "identity" then
      inflate(handle, encoding, request_id)
    elseif length == nil then
      handle:body(true) -- held until it is whole, and so within the route's limit
    end
  end
end

-- HTTP allows more in the name of a header than gRPC, which fails the whole call; and
-- what ends in -bin it takes for base64 (gRPC over HTTP/2, "Custom-Metadata").
function drop_what_grpc_cannot_carry(headers)
  local native = (headers:get("content-type") or ""):find("^application/grpc")
  local illegal = {}
  for name in pairs(headers) do
    if name:find("[^0-9a-z_.:-]") or (name:find("-bin$") and not native) then
      illegal[#illegal + 1] = name
    end
  end
  for _, name in ipairs(illegal) do
    headers:remove(name)
  end
end

function refuse(handle, status, code, request_id, message)
  respond(handle, status, error_body(code, message, request_id))
end

function respond(handle, status, body)
  handle:respond({[":status"] = status}, body)
end

-- The transcoder has to read the body, so the server inflates it beforehand: one
-- unary call, framed by hand (gRPC over HTTP/2, "Length-Prefixed-Message").
function inflate(handle, encoding, request_id)
  local body = handle:body(true)
  local data = body:getBytes(0, body:length())
  local headers, answer = handle:httpCall("server", {
    [":method"] = "POST",
    [":path"] = "/lakegate.v1.InflateService/Inflate",
    [":authority"] = "server",
    ["content-type"] = "application/grpc",
    ["te"] = "trailers",
    ["content-encoding"] = encoding,
    ["x-request-id"] = request_id,
    -- Whose body it is: nobody else's is inflated.
    ["authorization"] = handle:headers():get("authorization"),
    ["x-ryft-token"] = handle:headers():get("x-ryft-token"),
  }, "\0" .. big_endian(#data) .. data, INFLATE_TIMEOUT_MS)
  if (headers["grpc-status"] or "0") ~= "0" then
    respond(handle, status_and_body(headers, request_id))
  elseif headers[":status"] ~= "200" then
    refuse(handle, "503", "unavailable", request_id, "the server cannot be reached: try again")
  else
    handle:headers():remove("content-encoding")
    handle:body(true):setBytes((answer or ""):sub(6))
  end
end

function big_endian(number)
  return string.char(math.floor(number / 16777216), math.floor(number / 65536) % 256,
    math.floor(number / 256) % 256, number % 256)
end

function envoy_on_response(handle)
  local memory = handle:streamInfo():dynamicMetadata():get(MEMORY)
  if memory == nil then
    return
  end
  local headers = handle:headers()
  local grpc_status = headers:get("grpc-status")
  if grpc_status == nil then
    if headers:get(":status") == "400" then
      name_query_event_field(handle, memory["request_id"])
    end
    return
  end
  local status, body
  if grpc_status ~= "0" then
    status, body = status_and_body(all_of(headers), memory["request_id"])
    headers:replace(":status", status)
    headers:replace("content-type", "application/json")
  end
  for _, name in ipairs(GRPC_HEADERS) do
    headers:remove(name)
  end
  if body then
    replace_body(handle, body)
  end
end

-- The body of an error. There is none to replace, and so no way to send one, where
-- the server sent headers before its status; it does not.
function replace_body(handle, text)
  local body = handle:body(true)
  if body then
    body:setBytes(text)
  end
end

-- gRPC's status codes without our metadata: gRPC refused the call itself.
local BARE_STATUS = {
  [1] = {"503", "unavailable"}, -- a server that shuts down cancels its calls
  [3] = {"400", "invalid_argument"},
  [4] = {"503", "unavailable"},
  [5] = {"404", "not_found"},
  [7] = {"403", "permission_denied"},
  [8] = {"429", "overloaded"},
  [12] = {"404", "not_found"},
  [14] = {"503", "unavailable"},
  [16] = {"401", "unauthenticated"},
}
local BARE_FAILURE = {"500", "ingest_failed"}
local BARE_TOO_LARGE = {"413", "body_too_large"}

function status_and_body(headers, request_id)
  local status = headers["lakegate-http-status"]
  local body = headers["lakegate-error-body"]
  if status == nil or body == nil then
    -- Percent-encoded, therefore ASCII (gRPC over HTTP/2, "Status-Message").
    local message = headers["grpc-message"] or ""
    local verdict = BARE_STATUS[tonumber(headers["grpc-status"])] or BARE_FAILURE
    if message:find("larger than max", 1, true) then
      verdict = BARE_TOO_LARGE
    end
    status = verdict[1]
    body = error_body(verdict[2], escaped(message), request_id)
  end
  return status, body
end

-- The transcoder refuses a query event in protobuf's words:
--   queries[3].query_state: invalid value \"x\" for type …QueryEvent.QueryState
-- Callers are told in the names of the payload. All text stays escaped JSON.
function name_query_event_field(handle, request_id)
  local body = handle:body()
  if body == nil then
    return
  end
  local words = body:getBytes(0, body:length()):match(
    '^{"error":{"code":"bad_request_body","message":"(queries.*)","request_id":"')
  local message = words and query_event_message(words)
  if message then
    body:setBytes(error_body("invalid_query_event", message, request_id))
  end
end

function query_event_message(words)
  local path, value, kind = words:match("^(queries[^:]*): invalid value (.*) for type (%S+)$")
  if path == nil then
    path = words:match("^(queries[^:]*): Proto field is not repeating, cannot start list%.$")
    return path and wire_path(path) .. " has a field that must not be an array"
  end
  if value == "Starting an object on a scalar field" then
    return wire_path(path .. "." .. kind) .. " must not be an object"
  end
  local twice = value:match("^oneof field '.*' is already set%. Cannot set '(.*)'$")
  if twice then
    return wire_path(path .. "." .. twice) .. " is given twice"
  end
  local found = #value <= MAX_QUOTED and ", not " .. value or ""
  local list = path:match("^(.*%.tags)%[%d+%]$")
  if list then -- the transcoder does not count the elements of a list of strings
    return wire_path(list) .. " must hold strings" .. found
  end
  return wire_path(path) .. " must be " .. expected(kind) .. found
end

function expected(kind)
  if kind == "TYPE_DOUBLE" then
    return "a number"
  elseif kind == "TYPE_STRING" then
    return "a string"
  end
  local words = ENUMS[kind:match("lakegate%.v1%.(.*)$")]
  return words and "one of " .. words or "an object"
end

-- queries.failure_info.error_code -> queries[0].failureInfo[0].errorCode
function wire_path(path)
  path = (path .. "."):gsub("^queries%.", "queries[0].")
  path = path:gsub("%.failure_info%.", ".failure_info[0].")
  path = path:gsub("_(%l)", string.upper):gsub("durationMs", "duration_ms")
  return path:sub(1, -2)
end

function error_body(code, escaped_message, request_id)
  return string.format('{"error":{"code":"%s","message":"%s","request_id":"%s"}}',
    code, escaped_message, escaped(request_id))
end

function all_of(headers)
  local copy = {}
  for name, value in pairs(headers) do
    copy[name] = value
  end
  return copy
end

function printable(text)
  return (text:gsub("[^\32-\126]", "_"))
end

function escaped(text)
  return (text:gsub('[\\"]', "\\%0"))
end
