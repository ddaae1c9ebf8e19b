-- What Envoy does to a REST request before it is transcoded, and to an error on
-- its way back. Native gRPC passes as it is.
--
-- Errors come from three places. The server sends the whole body along with its
-- gRPC status, in metadata. gRPC itself sends a bare status. Envoy's own refusals
-- come with the body that `local_reply_config` gave them.

local ENCODINGS = {identity = true, gzip = true, ["x-gzip"] = true, zstd = true}

-- Envoy's own limit is higher: it answers HTTP/1.1 alone, and resets a stream of HTTP/2.
local MAX_HEADERS_BYTES = 16 * 1024

-- A longer value is not quoted in a message.
local MAX_QUOTED = 100

-- The words of the enumerations of lakegate/v1/query_events.proto.
local ENUMS = {
  ["QueryEvent.QueryState"] = "FINISHED, SUCCEEDED, FAILED",
  ["QueryContext.QueryType"] = "SELECT, EXPLAIN, DESCRIBE, INSERT, UPDATE, DELETE, ANALYZE, "
    .. "DATA_DEFINITION, ALTER_TABLE_EXECUTE, MERGE",
  ["ErrorCode.Type"] = "USER_ERROR, INTERNAL_ERROR, INSUFFICIENT_RESOURCES, EXTERNAL",
}

-- Set on refusals that do not come from the server: nothing of the request went there.
local NOT_SENT = "lakegate-not-sent"

-- What a REST caller has no use for.
local GRPC_HEADERS = {
  "grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-accept-encoding",
  "lakegate-http-status", "lakegate-error-body", NOT_SENT,
}

-- Where the request is remembered for its response: its id, if it is REST; and by ends.lua,
-- whether its rows may be committed whatever becomes of the answer.
local MEMORY = "lakegate"

-- Said where the rows may be committed.
local DOUBT = "The rows may or may not be committed. A retry with the same idempotency key is safe."

function envoy_on_request(handle)
  local headers = handle:headers()
  local native = is_native(headers:get("content-type") or "")
  headers:remove("lakegate-expected-bytes")
  drop_what_grpc_cannot_carry(headers, native)
  if native then
    return
  end
  local request_id = headers:get("x-request-id")
  handle:streamInfo():dynamicMetadata():set(MEMORY, "request_id", request_id)

  local path = (headers:get(":path") or ""):match("^[^?]*")
  local encoding = (headers:get("content-encoding") or "identity"):lower()
  local length = tonumber(headers:get("content-length") or "")
  -- CONNECT has no route, and so no limit; nor a path.
  local max_length = handle:filterContext():get("max_body_bytes") or math.huge
  if path:find("./$") then
    -- The transcoder would pass over the slash; the routes, and so their limits, do not.
    refuse(handle, "404", "not_found", request_id,
      "there is nothing at " .. path:sub(1, MAX_QUOTED))
  elseif size_of(headers) > MAX_HEADERS_BYTES then
    refuse(handle, "431", "invalid_argument", request_id,
      string.format("the headers are larger than %d bytes", MAX_HEADERS_BYTES))
  elseif encoding == "identity" and (length or 0) > max_length then
    -- Known before the body is sent, so said before it is sent.
    refuse(handle, "413", "body_too_large", request_id,
      string.format("the body is larger than %d bytes: split it into smaller batches", max_length))
  elseif not ENCODINGS[encoding] then
    refuse(handle, "415", "unsupported_media_type", request_id,
      "Content-Encoding must be gzip, zstd or identity")
  elseif path == "/v1/ingest" then
    -- The transcoder makes chunks of the body and drops its length, but the
    -- server wants to know how much memory to set aside; 0: for a chunk at a time.
    headers:add("lakegate-expected-bytes", tostring(encoding == "identity" and length or 0))
  end
end

-- What Envoy itself takes for gRPC; what only begins like it is transcoded.
function is_native(content_type)
  return content_type == "application/grpc" or content_type:find("^application/grpc%+") ~= nil
end

-- HTTP allows more in the name of a header than gRPC, which fails the whole call; what
-- ends in -bin it takes for base64, and what begins with grpc- for its own (gRPC over
-- HTTP/2, "Custom-Metadata").
function drop_what_grpc_cannot_carry(headers, native)
  local illegal = {}
  for name in pairs(headers) do
    local reserved = name:find("-bin$") or name:find("^grpc%-")
    if name:find("[^0-9a-z_.:-]") or (reserved and not native) then
      illegal[#illegal + 1] = name
    end
  end
  for _, name in ipairs(illegal) do
    headers:remove(name)
  end
end

function size_of(headers)
  local size = 0
  for name, value in pairs(headers) do
    size = size + #name + #value
  end
  return size
end

function refuse(handle, status, code, request_id, message)
  handle:respond({[":status"] = status}, error_body(code, message, request_id))
end

function envoy_on_response(handle)
  local memory = handle:streamInfo():dynamicMetadata():get(MEMORY) or {}
  local headers = handle:headers()
  if memory["request_id"] then
    translate(handle, headers, memory)
  elseif headers:get("grpc-status") then -- of native gRPC, which may also come in trailers
    forbid_retries(headers, memory)
    headers:remove(NOT_SENT)
  elseif memory["in_doubt"] then
    forbid_retries(handle:trailers(), memory)
  end
end

-- Clients of gRPC send again by themselves what was UNAVAILABLE: that may not be said where
-- the rows may be committed.
function forbid_retries(headers, memory)
  if headers and headers:get("grpc-status") == "14" and is_in_doubt(headers, memory) then
    headers:replace("grpc-status", "2")
    headers:replace("grpc-message", DOUBT)
  end
end

-- Whether rows may be committed though the call has failed. The server's own refusals say
-- what they mean.
function is_in_doubt(headers, memory)
  return memory["in_doubt"] and not (headers:get("lakegate-error-body") or headers:get(NOT_SENT))
end

function translate(handle, headers, memory)
  local grpc_status = headers:get("grpc-status")
  if grpc_status == nil then
    if headers:get(":status") == "400" then
      name_query_event_field(handle, memory["request_id"])
    end
    return
  end
  local status, body
  if grpc_status ~= "0" then
    status, body = status_and_body(headers, memory)
    headers:replace(":status", status)
    headers:replace("content-type", "application/json")
    if status == "429" and headers:get("retry-after") == nil then
      headers:add("retry-after", "1")
    end
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

-- gRPC's status codes without our metadata: gRPC refused the call itself. Its words are
-- about itself, and not for callers.
local AGAIN = "the server cannot be reached or has gone away: try again"
local BARE_STATUS = {
  [1] = {"503", "unavailable", AGAIN}, -- a server that shuts down cancels its calls
  [3] = {"400", "invalid_argument", "the request cannot be read"},
  -- Envoy's limit for the time of a request, which the server may notice first.
  [4] = {"408", "request_timeout", "the request did not come in time"},
  [5] = {"404", "not_found", "there is nothing here"},
  [7] = {"403", "permission_denied", "the server does not allow it"},
  [8] = {"429", "overloaded", "the server has too much to do: try again"},
  [12] = {"404", "not_found", "there is nothing here"},
  [14] = {"503", "unavailable", AGAIN},
  [16] = {"401", "unauthenticated", "the server does not know the caller"},
}
local BARE_FAILURE = {"500", "ingest_failed", "the server failed; its log has the cause"}
local BARE_TOO_LARGE = {"413", "body_too_large",
  "the body is too large: split it into smaller batches"}

-- Statuses that a call may end with which had been committed.
local IN_DOUBT = {[1] = true, [2] = true, [4] = true, [13] = true, [14] = true}
local OUTCOME_UNKNOWN = {"500", "outcome_unknown", DOUBT}

function status_and_body(headers, memory)
  local status, body = headers:get("lakegate-http-status"), headers:get("lakegate-error-body")
  if status and body then
    return status, body
  end
  local grpc_status = tonumber(headers:get("grpc-status"))
  local verdict = BARE_STATUS[grpc_status] or BARE_FAILURE
  if (headers:get("grpc-message") or ""):find("larger than max", 1, true) then
    verdict = BARE_TOO_LARGE
  elseif IN_DOUBT[grpc_status] and is_in_doubt(headers, memory) then
    verdict = OUTCOME_UNKNOWN
  end
  return verdict[1], error_body(verdict[2], verdict[3], memory["request_id"])
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

function escaped(text)
  return (text:gsub('[\\"]', "\\%0"))
end
