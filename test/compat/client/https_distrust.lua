-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn
-- Without and with a reason to trust the server: https_distrust.lua URL CERTIFICATE
if not rawget(_G, "spawn") then
    require "thrum.prelude"
end
local https = require "ssl.https"
local url, certificate = arg[1], arg[2]

local function fetch(certificates)
    return https.request {url = url, verify = "peer", cafile = certificates}
end

local without, with = spawn(fetch), spawn(fetch, certificate)
local ok, err = without:join()
print(ok == nil and err:find("certificate verify failed", 1, true) and "refused" or err)
local _, code = with:join()
print(code)
