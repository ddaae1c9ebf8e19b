-- Detects the end of a body that brings rows: the server is told that the body has ended, and
-- errors.lua that the rows may be committed even if the call fails. Bodies stream through.
-- Only the routes of methods that commit rows enable this filter.

-- How the server knows that a body is whole: rpc/completeness.py.
local END = "lakegate-body-end"
-- An unguessable word, new for each request.
local MARK = "lakegate-body-mark"
-- How much memory the server sets aside at first; 0: for a chunk at a time.
local EXPECTED = "lakegate-expected-bytes"

function envoy_on_request(handle)
  local headers, context = handle:headers(), handle:filterContext()
  local is_rest = context:get("rest")
  -- A body is whole when it has ended, a message when it can be parsed.
  if context:get("takes") == "message" then
    follow_message(handle, headers, is_rest)
  else
    follow_body(handle, headers, is_rest and headers:get(MARK))
  end
end

-- A message may be whole before its request has ended: from its first piece on; in JSON that is
-- not held, from a piece that may end an array or an object.
function follow_message(handle, headers, is_rest)
  local held = is_rest and (headers:get("content-encoding") or not headers:get("content-length"))
  for piece in handle:bodyChunks() do
    if not is_rest or (not held and may_end(piece)) then
      break
    end
  end
  remember_doubt(handle)
end

function may_end(piece)
  local size = piece:length()
  return size > 0 and piece:getBytes(size - 1, 1):find("[%]}%s]")
end

-- The server gets the length of the body in a header, or without a length the mark after the
-- last byte. gRPC itself proves the end of a native call, and of a body that ends in trailers,
-- which has no last piece to write to. The transcoder drops the length.
function follow_body(handle, headers, mark)
  local length = headers:get("content-length")
  if mark then
    local compressed = (headers:get("content-encoding") or "identity"):lower() ~= "identity"
    headers:add(EXPECTED, not compressed and length or "0")
    headers:add(END, length and "bytes " .. length or "mark " .. mark)
  end
  local last
  for piece in handle:bodyChunks() do
    last = piece
  end
  remember_doubt(handle)
  if not mark or length or handle:trailers() ~= nil then
    return
  elseif last then
    last:setBytes(last:getBytes(0, last:length()) .. mark)
  else
    headers:replace(END, "bytes 0")
  end
end

function remember_doubt(handle)
  handle:streamInfo():dynamicMetadata():set("lakegate", "in_doubt", true)
end
