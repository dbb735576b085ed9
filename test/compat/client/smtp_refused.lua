-- SPDX-License-Identifier: BSL-1.0
-- To one whom the server refuses: smtp_refused.lua PORT
if not rawget(_G, "spawn") then
    require "thrum.prelude"
end
local smtp = require "socket.smtp"

local ok, err = smtp.send {
    server = "127.0.0.1",
    port = arg[1],
    from = "<sender@mail.test>",
    rcpt = "<nobody@mail.test>",
    source = smtp.message {headers = {subject = "lost"}, body = "text"},
}
print(ok)
print(err)
