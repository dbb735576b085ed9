-- SPDX-License-Identifier: BSL-1.0
---@meta socket
-- luacheck: ignore

---Extension. LuaSocket's module, whose calls suspend one fiber only: socket(3thrum). A call that fails
---returns nil and a text.
---@class thrum.module.socket
---@field _VERSION string
---@field _DEBUG boolean
---@field _SETSIZE integer # how many objects a list of `select` may have
---@field _DATAGRAMSIZE integer # of a receive without a size
---@field _SOCKETINVALID integer # -1
---@field BLOCKSIZE integer # of sources; may be set
---@field sourcet table<string, function>
---@field sinkt table<string, function>
---@field dns thrum.module.socket.dns
---@field unix thrum.module.socket.unix
socket = {}

---A tcp{master}; its family is that of its first address.
---@return socket.object? sock
---@return string? err
function socket.tcp() end

---@return socket.object? sock
---@return string? err
function socket.tcp4() end

---@return socket.object? sock
---@return string? err
function socket.tcp6() end

---A udp{unconnected}; its family is that of its first address.
---@return socket.object? sock
---@return string? err
function socket.udp() end

---@return socket.object? sock
---@return string? err
function socket.udp4() end

---@return socket.object? sock
---@return string? err
function socket.udp6() end

---A connected tcp{client}. Suspends.
---@async
---@param host string
---@param port integer|string
---@param local_host? string
---@param local_port? integer|string
---@param family? "inet"|"inet6"|"unspec"
---@return socket.object? sock
---@return string? err
function socket.connect(host, port, local_host, local_port, family) end

---The same over IPv4. Suspends.
---@async
---@param host string
---@param port integer|string
---@param local_host? string
---@param local_port? integer|string
---@return socket.object? sock
---@return string? err
function socket.connect4(host, port, local_host, local_port) end

---The same over IPv6. Suspends.
---@async
---@param host string
---@param port integer|string
---@param local_host? string
---@param local_port? integer|string
---@return socket.object? sock
---@return string? err
function socket.connect6(host, port, local_host, local_port) end

---A listening tcp{server}. Suspends while a name is looked up.
---@async
---@param host string # "*": every IPv4 address
---@param port integer|string
---@param backlog? integer
---@return socket.object? sock
---@return string? err
function socket.bind(host, port, backlog) end

---Wait until some of the objects are ready; the results are by number and by object. Suspends.
---@async
---@param receivers? table
---@param senders? table
---@param timeout? number # seconds; nil or negative: for ever
---@return table ready_receivers
---@return table ready_senders
---@return string? err # "timeout"
function socket.select(receivers, senders, timeout) end

---@param finalizer? fun()
---@return fun(...): ...
function socket.newtry(finalizer) end

---Return the arguments if the first is true, else throw the second to `protect`.
---@param ... any
---@return any ...
function socket.try(...) end

---@param f async fun(...): ...
---@return async fun(...): ...
function socket.protect(f) end

---@param count integer
---@param ... any
---@return any ...
function socket.skip(count, ...) end

---Seconds since 1970.
---@return number
function socket.gettime() end

---Suspend the calling fiber. Suspends.
---@async
---@param seconds number
function socket.sleep(seconds) end

---@param choices table<string, function>
---@return function
function socket.choose(choices) end

---@param mode "by-length"|"until-closed"
---@param sock socket.object
---@param length? integer
---@return table source
function socket.source(mode, sock, length) end

---@param mode "close-when-done"|"keep-open"
---@param sock socket.object
---@return table sink
function socket.sink(mode, sock) end

---@class thrum.module.socket.dns
socket.dns = {}

---The first IPv4 address. Suspends.
---@async
---@param host string
---@return string? ip
---@return table|string resolved # {name=, alias={}, ip={...}}, or the error
function socket.dns.toip(host) end

---Suspends.
---@async
---@param host string
---@return string? name
---@return table|string resolved # {name=, alias={}, ip={...}}, or the error
function socket.dns.tohostname(host) end

---Suspends.
---@async
---@param host string
---@return {family: string, addr: string}[]? list
---@return string? err
function socket.dns.getaddrinfo(host) end

---Suspends.
---@async
---@param host? string
---@param service? string
---@return string[]? names
---@return string? service
function socket.dns.getnameinfo(host, service) end

---@return string
function socket.dns.gethostname() end

---@class thrum.module.socket.unix
socket.unix = {}

---@return socket.object? sock
---@return string? err
function socket.unix.stream() end

---@return socket.object? sock
---@return string? err
function socket.unix.dgram() end

---`stream`.
---@return socket.object? sock
---@return string? err
function socket.unix.tcp() end

---`dgram`.
---@return socket.object? sock
---@return string? err
function socket.unix.udp() end

---What the functions of `socket` make. Which methods it has depends on its kind and state.
---@class socket.object
---@field class string # "tcp{client}"
local sock = {}

---Give it a local address: host and port, or a path. Suspends while a name is looked up.
---@async
---@param host string
---@param port? integer|string
---@return 1? ok
---@return string? err
function sock:bind(host, port) end

---The same. Suspends while a name is looked up.
---@async
---@param host string
---@param port? integer|string
---@return 1? ok
---@return string? err
function sock:setsockname(host, port) end

---Connect to a host and port, or a path. Suspends.
---@async
---@param host string
---@param port? integer|string
---@return 1? ok
---@return string? err
function sock:connect(host, port) end

---The peer of a datagram socket, "*" for none; of a stream `connect`. Suspends while a name is looked up.
---@async
---@param host string
---@param port? integer|string
---@return 1? ok
---@return string? err
function sock:setpeername(host, port) end

---@param backlog? integer # 32 by default
---@return 1? ok
---@return string? err
function sock:listen(backlog) end

---The next connection. Suspends.
---@async
---@return socket.object? sock
---@return string? err
function sock:accept() end

---Of a stream: "*l", "*a" or so many bytes, behind a prefix. Of a datagram socket: a datagram of that
---size at most. Suspends.
---@async
---@param pattern? string|integer
---@param prefix? string
---@return string? data
---@return string? err
---@return string? partial
function sock:receive(pattern, prefix) end

---A datagram and its sender: address and port, or path. Suspends.
---@async
---@param size? integer
---@return string? data
---@return string ip # or the error
---@return integer? port
function sock:receivefrom(size) end

---Send a string, or a part of it; or a datagram. Suspends.
---@async
---@param data string
---@param i? integer
---@param j? integer
---@return integer? last # index of the last byte sent; of a datagram its size
---@return string? err
---@return integer? partial
function sock:send(data, i, j) end

---Send a datagram to an address and port, or a path. Suspends.
---@async
---@param data string
---@param ip string
---@param port? integer|string
---@return integer? size
---@return string? err
function sock:sendto(data, ip, port) end

---@return 1
function sock:close() end

---@param mode? "both"|"send"|"receive"
---@return 1
function sock:shutdown(mode) end

---@param seconds? number # nil or negative: for ever
---@param mode? "b"|"t"|"r" # each wait, or the whole call
---@return 1
function sock:settimeout(seconds, mode) end

---@return number block
---@return number total
function sock:gettimeout() end

---@return string? ip # or the path
---@return integer|string port
---@return "inet"|"inet6" family
function sock:getsockname() end

---@return string? ip
---@return integer|string port
---@return "inet"|"inet6" family
function sock:getpeername() end

---@return "inet4"|"inet6"
function sock:getfamily() end

---@param name string
---@param value any
---@return 1? ok
---@return string? err
function sock:setoption(name, value) end

---@param name string
---@return any value
---@return string? err
function sock:getoption(name) end

---@return integer received
---@return integer sent
---@return number age
function sock:getstats() end

---@param received? number
---@param sent? number
---@param age? number
---@return 1
function sock:setstats(received, sent, age) end

---@return boolean
function sock:dirty() end

---@return integer fd # -1: none
function sock:getfd() end

---@param fd integer
function sock:setfd(fd) end

return socket
