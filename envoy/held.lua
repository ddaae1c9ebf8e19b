-- Holds bodies that must be whole before the transcoder reads them: compressed ones, which
-- the server inflates, and those without a length, which must be within the limit. The
-- transcoder itself has no limit: it buffers a string until it ends.
--
-- This file is two filters in a row, on the routes where bodies are held: `ask` asks the
-- server whether the caller may send, before any of the body is held, and `hold` holds it.
-- The header is the stage of the request, and so selects its route: how much may be held,
-- and for how long.

local STAGE = "lakegate-body"
local ASK_TIMEOUT_MS = 15000
local INFLATE_TIMEOUT_MS = 60000
-- Set on errors of requests that were not sent to the server.
local NOT_SENT = "lakegate-not-sent"
local UNAVAILABLE = {[":status"] = "200", ["grpc-status"] = "14", [NOT_SENT] = "true"}

function envoy_on_request(handle)
  local context = handle:filterContext()
  if context:get("drop") then
    drop(handle)
  elseif context:get("ask") then
    ask(handle, context:get("ask"))
  else
    hold(handle, context)
  end
end

-- The body of a GET has no meaning (RFC 9110, section 9.3.1).
function drop(handle)
  for chunk in handle:bodyChunks() do
    chunk:setBytes("")
  end
end

function ask(handle, method)
  call(handle, method, "", ASK_TIMEOUT_MS)
  handle:headers():replace(STAGE, "admitted")
end

function is_compressed(headers)
  return (headers:get("content-encoding") or "identity"):lower() ~= "identity"
end

function hold(handle, context)
  local inflate, checked = context:get("inflate"), context:get("checked")
  local body = handle:body()
  handle:headers():replace(STAGE, "whole")
  if body and (checked or is_compressed(handle:headers())) then
    local inflated = call(handle, inflate, body:getBytes(0, body:length()), INFLATE_TIMEOUT_MS)
    handle:headers():remove("content-encoding")
    handle:body():setBytes(inflated)
  end
end

-- One unary call to the server on the caller's behalf, framed by hand (gRPC over HTTP/2,
-- "Length-Prefixed-Message"). An error ends the request: errors.lua translates it.
function call(handle, method, message, timeout_ms)
  local caller = handle:headers()
  local headers, answer = handle:httpCall("server", {
    [":method"] = "POST",
    [":path"] = "/lakegate.v1.InflateService/" .. method,
    [":authority"] = "server",
    ["content-type"] = "application/grpc",
    ["te"] = "trailers",
    ["content-encoding"] = caller:get("content-encoding"),
    ["lakegate-expected-bytes"] = caller:get("content-length"),
    ["x-request-id"] = caller:get("x-request-id"),
    ["authorization"] = caller:get("authorization"),
    ["x-ryft-token"] = caller:get("x-ryft-token"),
  }, "\0" .. big_endian(#message) .. message, timeout_ms)
  if headers[":status"] ~= "200" then
    handle:respond(UNAVAILABLE)
  elseif (headers["grpc-status"] or "0") ~= "0" then
    headers[NOT_SENT] = "true"
    handle:respond(headers)
  end
  return (answer or ""):sub(6)
end

function big_endian(number)
  return string.char(math.floor(number / 16777216), math.floor(number / 65536) % 256,
    math.floor(number / 256) % 256, number % 256)
end
