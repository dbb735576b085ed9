-- SPDX-License-Identifier: BSL-1.0
-- luacheck: globals spawn process
-- What stands in for modules of luvit's, and a program that was written for luvit.
--
--     thrum porting_luvit.lua

local system = require "system"
local time = require "time"

-- tag::timer[]
local function after(ms, f, ...) time.sleep(ms / 1000) spawn(f, ...) end
local function every(...) while true do after(...) end end
local function clear(timer) timer:interrupt() end
package.loaded.timer = {
    setTimeout = function(...) return spawn(after, ...) end, clearTimeout = clear,
    setInterval = function(...) return spawn(every, ...) end, clearInterval = clear,
    setImmediate = spawn, sleep = function(ms) time.sleep(ms / 1000) end,
}
-- end::timer[]

-- tag::core[]
local Emitter = require("emitter").Emitter
local Error = Emitter:extend()
function Error:initialize(message) self.message = message end
package.loaded.core = {Emitter = Emitter, Object = Emitter, Error = Error}
-- end::core[]

-- tag::utils[]
local function bind(f, first, ...)
    if select("#", ...) > 0 then return bind(bind(f, first), ...) end
    return function(...) return f(first, ...) end
end
package.loaded.utils = {bind = bind, noop = function() end}
-- end::utils[]

-- tag::process[]
process = Emitter:new() -- a global, as there
process.argv = table.move(system.arguments, 1, #system.arguments, 0, {})
process.env, process.pid, process.nextTick = system.environment, system.getpid(), spawn
function process:exit(code) system.exit(code) end -- luacheck: no self
package.loaded.process = {globalProcess = function() return process end}
-- end::process[]

-- From here on it is as it was.
local dgram = require('dgram')
local timer = require('timer')
local core = require('core')
local utils = require('utils')

local Pinger = core.Emitter:extend()

function Pinger:initialize(port)
    self.port, self.count = port, 0
    self.socket = dgram.createSocket('udp4')
    self.socket:on('message', utils.bind(self.onAnswer, self))
    self.socket:on('error', utils.bind(self.emit, self, 'error'))
    self:wrap('onSent')
    self.interval = timer.setInterval(5, utils.bind(self.ping, self))
end

function Pinger:ping()
    self.socket:send('ping', self.port, '127.0.0.1', self.onSent)
end

function Pinger:onSent()
    self.count = self.count + 1
end

function Pinger:onAnswer(msg, rinfo)
    self:emit('answer', msg .. ' from ' .. rinfo.ip)
    if self.count == 2 then
        timer.clearInterval(self.interval)
        self.socket:close()
        self:emit('done')
    end
end

local server = dgram.createSocket('udp4')
server:on('message', function(msg, rinfo)
    server:send('answer to ' .. msg, rinfo.port, rinfo.ip)
end)
server:bind(0, '127.0.0.1')

local pinger = Pinger:new(server:address().port)
pinger:on('answer', print)
--> answer to ping from 127.0.0.1
--> answer to ping from 127.0.0.1
pinger:on('done', function()
    server:close()
    timer.setTimeout(1, utils.bind(process.exit, process, 0)) -- it would end by itself, too
    process.nextTick(print, 'closed', process.argv[1])
    --> closed	porting_luvit.lua
end)
