-- SPDX-License-Identifier: BSL-1.0
-- A file that is not there: ftp_missing.lua PORT
if not rawget(_G, "spawn") then
    require "thrum.prelude"
end
local ftp = require "socket.ftp"

local body, err = ftp.get("ftp://127.0.0.1:" .. arg[1] .. "/pub/nowhere;type=i")
print(body)
print(err)
