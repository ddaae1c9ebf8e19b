-- How far the body of a request that writes rows has come: the server is told when a body has
-- ended, and the filter of errors when the rows may be committed, whatever becomes of the
-- answer. Bodies stream through meanwhile, piece by piece.

-- How the server knows that a body is whole: rpc/completeness.py. It comes with a word that
-- is made for this request.
local END = "lakegate-body-end"

-- Whether a route takes a body, which is whole when it has ended, or messages, each of which is
-- whole by itself.
local WRITES = {
  ["/v1/ingest"] = "body",
  ["/ingest/push/queries"] = "message",
  ["/lakegate.v1.IngestService/IngestBody"] = "body",
  ["/lakegate.v1.IngestService/Ingest"] = "message",
  ["/lakegate.v1.IngestService/IngestStream"] = "message",
  ["/lakegate.v1.QueryEventService/PushQueries"] = "message",
  ["/lakegate.v1.QueryEventService/StreamQueries"] = "message",
}

function envoy_on_request(handle)
  local headers = handle:headers()
  local mark = headers:get(END)
  headers:remove(END)
  local writes = headers:get(":method") == "POST"
    and WRITES[headers:get(":path"):match("^[^?]*")]
  if writes == "message" then
    follow_message(handle)
  elseif writes == "body" then
    follow_body(handle, headers, is_rest(handle) and mark)
  end
end

-- What the filter of errors has seen to.
function is_rest(handle)
  return handle:streamInfo():dynamicMetadata():get("lakegate") ~= nil
end

-- A message of a native call may be whole from its first piece on. JSON is held until its request
-- has ended: before that, the server has none of it.
function follow_message(handle)
  local rest = is_rest(handle)
  for _ in handle:bodyChunks() do
    if not rest then
      break
    end
  end
  remember_doubt(handle)
end

-- A mark is put after the last byte of a body. gRPC itself proves the end of a native call, and
-- of a body that ends in trailers: that has no last piece to write to.
function follow_body(handle, headers, mark)
  if mark then
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
