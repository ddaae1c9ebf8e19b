-- How far the body of a request that writes rows has come: the server is told when a body has
-- ended, and the filter of errors when the rows may be committed, whatever becomes of the
-- answer. Bodies stream through meanwhile, piece by piece.

-- How the server knows that a body is whole: rpc/completeness.py. It comes with a word that
-- is made for this request.
local END = "lakegate-body-end"

-- Whether a route takes a body, which is whole when it has ended, or one message, which is
-- whole by itself.
local WRITES = {
  ["/v1/ingest"] = "body",
  ["/ingest/push/queries"] = "message",
  ["/lakegate.v1.IngestService/IngestBody"] = "body",
  ["/lakegate.v1.IngestService/Ingest"] = "message",
  ["/lakegate.v1.QueryEventService/PushQueries"] = "message",
}

function envoy_on_request(handle)
  local headers = handle:headers()
  local mark = headers:get(END)
  headers:remove(END)
  local writes = headers:get(":method") == "POST"
    and WRITES[headers:get(":path"):match("^[^?]*")]
  if writes == "message" then
    follow_message(handle, headers)
  elseif writes == "body" then
    follow_body(handle, headers, is_rest(handle) and mark)
  end
end

-- What the filter of errors has seen to.
function is_rest(handle)
  return handle:streamInfo():dynamicMetadata():get("lakegate") ~= nil
end

-- A message may be whole before its request has ended: from its first piece on, or where it
-- is JSON and not held, from a piece that may be the end of an array or an object.
function follow_message(handle, headers)
  local rest = is_rest(handle)
  local held = rest and (headers:get("content-encoding") or not headers:get("content-length"))
  for piece in handle:bodyChunks() do
    if not rest or (not held and may_end(piece)) then
      break
    end
  end
  remember_doubt(handle)
end

function may_end(piece)
  local size = piece:length()
  return size > 0 and piece:getBytes(size - 1, 1):find("[%]}%s]")
end

-- The server is told the length of a body, or where there is none, a mark is put after the
-- last byte. gRPC itself proves the end of a native call, and of a body that ends in trailers:
-- that has no last piece to write to.
function follow_body(handle, headers, mark)
  local length = headers:get("content-length")
  if mark then
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
