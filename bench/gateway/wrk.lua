-- wrk's side of a run: `wrk … -s wrk.lua URL -- BYTES FIELDS`. FIELDS is a file: each line is one caller's header fields,
-- "Name: value" with tabs in between; callers take turns. The figures come out as one line of JSON.

local requests = {}
local turn = 0

local function body(bytes)
   local head, tail = '{"image":"', '"}'
   return head .. string.rep("x", bytes - #head - #tail) .. tail
end

function init(args)
   wrk.method = "POST"
   wrk.body = body(tonumber(args[1]))
   wrk.headers["Content-Type"] = "application/json"
   for line in io.lines(args[2]) do
      local fields = {}
      for name, value in pairs(wrk.headers) do fields[name] = value end
      for name, value in line:gmatch("([^\t:]+): ([^\t]+)") do fields[name] = value end
      requests[#requests + 1] = wrk.format(nil, nil, fields)
   end
end

function request()
   turn = turn % #requests + 1
   return requests[turn]
end

function done(summary, latency, _)
   local errors = summary.errors
   io.write(string.format(
      '{"answers": %d, "seconds": %.6f, "body_bytes": %d, "p50": %.3f, "p99": %.3f, "refused": %d, "broken": %d}\n',
      summary.requests, summary.duration / 1e6, summary.bytes,
      latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      errors.status, errors.connect + errors.read + errors.write + errors.timeout
   ))
end
