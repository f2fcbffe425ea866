-- POST of 150 bytes. With X-Rotate each request carries one of 1,000 keys for sticky splits.
wrk.method = "POST"
wrk.body = string.rep("x", 150)
wrk.headers["Content-Type"] = "application/json"

local bodies, at = {}, 0

function init(args)
    if not wrk.headers["X-Rotate"] then return end
    wrk.headers["X-Rotate"] = nil
    for i = 1, 1000 do
        wrk.headers["X-User-Id"] = "user-" .. (4000 + i)
        bodies[i] = wrk.format()
    end
end

function request()
    if #bodies == 0 then
        bodies[1] = wrk.format()
    end
    at = at % #bodies + 1
    return bodies[at]
end
