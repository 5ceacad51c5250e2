-- For wrk: the argument is the number of requests a write. Prints the results as JSON.

local requests

function init(args)
  requests = string.rep(wrk.format("GET", "/kongxx"), tonumber(args[1]))
end

function request()
  return requests
end

function done(summary)
  local errors = summary.errors
  io.write(string.format(
    '{"seconds": %.6f, "count": %d, "errors": %d}\n',
    summary.duration / 1e6, summary.requests,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
