-- Detects the end of a body: the server is told that the body has ended, and errors.lua that
-- rows may be committed even if the call fails. Bodies stream through. Enabled by the routes of
-- methods that commit rows or take a body, and of those that drop it.

-- How the server knows that a body is whole: rpc/completeness.py.
local END = CONTRACT.body_end_key
-- An unguessable word, new for each request.
local MARK = CONTRACT.body_mark_key
-- How much memory the server sets aside at first; 0: for a chunk at a time.
local EXPECTED = CONTRACT.expected_size_key

function envoy_on_request(handle)
  local headers, context = handle:headers(), handle:filterContext()
  if context:get("drop") then
    drop(handle)
  elseif context:get("takes") == "message" then
    -- A message is whole when it can be parsed: maybe from its first piece on.
    for _ in handle:bodyChunks() do
      break
    end
    remember_doubt(handle)
  else
    follow_body(handle, headers, context)
  end
end

-- The body of a GET has no meaning (RFC 9110, section 9.3.1).
function drop(handle)
  for chunk in handle:bodyChunks() do
    chunk:setBytes("")
  end
end

-- The mark is put after the last byte of a body. gRPC itself proves the end of a native call, and
-- of a body that ends in trailers, which has no last piece to write to. The transcoder drops the
-- length.
function follow_body(handle, headers, context)
  local mark, commits_rows = context:get("rest") and headers:get(MARK), context:get("commits_rows")
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
  if commits_rows then
    remember_doubt(handle)
  end
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
