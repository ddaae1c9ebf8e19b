-- Limits the headers of a REST request, and gives every error the body that REST callers
-- know. Native gRPC passes unchanged.
--
-- An error has one of three origins. The server sends the whole body in the metadata beside
-- its gRPC status. gRPC itself sends a bare status. Envoy's own replies have the body from
-- `local_reply_config`.
--
-- lakegate/edge/lua.py writes the table CONTRACT in front of this file.

-- Envoy's own limit is higher; above it, Envoy resets a stream of HTTP/2 without a reply.
local MAX_HEADERS_BYTES = 16 * 1024

-- Set on errors of requests that were not sent to the server.
local NOT_SENT = CONTRACT.not_sent_key

-- Response headers that are not for REST callers.
local GRPC_HEADERS = {
  "grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-accept-encoding",
  CONTRACT.http_status_key, CONTRACT.error_body_key, NOT_SENT,
}

-- Dynamic metadata of the request, read at its response: `request_id`, of REST alone, and
-- `in_doubt`, which ends.lua sets once the rows may be committed.
local MEMORY = "lakegate"

function envoy_on_request(handle)
  local headers = handle:headers()
  local native = is_native(headers:get("content-type") or "")
  local size = drop_headers_unfit_for_grpc(headers, native)
  if native then
    return
  end
  local request_id = headers:get("x-request-id")
  handle:streamInfo():dynamicMetadata():set(MEMORY, "request_id", request_id)

  if size > MAX_HEADERS_BYTES then
    handle:respond({[":status"] = "431"}, error_body("invalid_argument",
      string.format("the headers are larger than %d bytes", MAX_HEADERS_BYTES), request_id))
  end
end

-- The media types that Envoy treats as gRPC; others that begin like it are transcoded.
function is_native(content_type)
  return content_type == "application/grpc" or content_type:find("^application/grpc%+") ~= nil
end

-- Removes the headers that gRPC cannot forward, and returns the size of the others. gRPC fails
-- the call for a name that HTTP allows but gRPC does not, decodes the values of names in -bin
-- as base64, and reserves names in grpc- (gRPC over HTTP/2, "Custom-Metadata").
function drop_headers_unfit_for_grpc(headers, native)
  local illegal, size = {}, 0
  for name, value in pairs(headers) do
    local reserved = not native and (name:sub(-4) == "-bin" or name:sub(1, 5) == "grpc-")
    if reserved or name:find("[^0-9a-z_.:-]") then
      illegal[#illegal + 1] = name
    else
      size = size + #name + #value
    end
  end
  for _, name in ipairs(illegal) do
    headers:remove(name)
  end
  return size
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

-- gRPC clients retry UNAVAILABLE by themselves, so it is not sent where the rows may be
-- committed.
function forbid_retries(headers, memory)
  if headers and headers:get("grpc-status") == "14" and is_in_doubt(headers, memory) then
    headers:replace("grpc-status", "2")
    headers:replace("grpc-message", CONTRACT.bare_doubt.message)
  end
end

-- Whether rows may be committed though the call failed. The server's own errors are exact.
function is_in_doubt(headers, memory)
  return memory["in_doubt"] and not (headers:get(CONTRACT.error_body_key) or headers:get(NOT_SENT))
end

function translate(handle, headers, memory)
  local grpc_status, status, body = headers:get("grpc-status"), nil, nil
  if grpc_status == nil then
    return
  elseif grpc_status ~= "0" then
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

-- An error has no body to replace if the server sent headers before its status; ours does not.
function replace_body(handle, text)
  local body = handle:body(true)
  if body then
    body:setBytes(text)
  end
end

-- Statuses that a call may end with though its rows are committed.
local IN_DOUBT = {[1] = true, [2] = true, [4] = true, [13] = true, [14] = true}

function status_and_body(headers, memory)
  local status, body = headers:get(CONTRACT.http_status_key), headers:get(CONTRACT.error_body_key)
  if status and body then
    return status, body
  end
  local grpc_status = tonumber(headers:get("grpc-status"))
  local refusal = CONTRACT.bare_statuses[grpc_status] or CONTRACT.bare_failure
  if (headers:get("grpc-message") or ""):find("larger than max", 1, true) then
    refusal = CONTRACT.bare_too_large
  elseif IN_DOUBT[grpc_status] and is_in_doubt(headers, memory) then
    refusal = CONTRACT.bare_doubt
  end
  return CONTRACT.http_status[refusal.code],
    error_body(refusal.code, refusal.message, memory["request_id"])
end

function error_body(code, escaped_message, request_id)
  return string.format('{"error":{"code":"%s","message":"%s","request_id":"%s"}}',
    code, escaped_message, escaped(request_id))
end

function escaped(text)
  return (text:gsub('[\\"]', "\\%0"))
end
