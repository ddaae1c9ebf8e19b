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
    follow_message(handle, is_rest)
  else
    follow_body(handle, headers, is_rest and headers:get(MARK))
  end
end

-- A message of a native call may be whole from its first piece on. JSON is held until its request
-- has ended: before that, the server has none of it.
function follow_message(handle, is_rest)
  for _ in handle:bodyChunks() do
    if not is_rest then
      break
    end
  end
  remember_doubt(handle)
end

-- The mark is put after the last byte of a body. gRPC itself proves the end of a native call, and
-- of a body that ends in trailers, which has no last piece to write to. The transcoder drops the
-- length.
function follow_body(handle, headers, mark)
  if mark then
    local compressed = (headers:get("content-encoding") or "identity"):lower() ~= "identity"
    local length = headers:get("content-length")
    headers:add(EXPECTED, not compressed and length or "0")
    headers:add(END, "mark " .. mark)
  end
  local last
  for piece in handle:bodyChunks() do
    last = piece
  end
  remember_doubt(handle)
  if not mark or handle:trailers() ~= nil then
    return
  elseif last then
    last:setBytes(last:getBytes(0, last:length()) .. mark)
  else
    headers:replace(END, "mark") -- there is nothing to mark
  end
end

function remember_doubt(handle)
  handle:streamInfo():dynamicMetadata():set("lakegate", "in_doubt", true)
end
