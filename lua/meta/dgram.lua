-- SPDX-License-Identifier: BSL-1.0
---@meta dgram
-- luacheck: ignore

---Extension. UDP sockets with events, for programs written for luvit, IoT.js and Node: dgram(3thrum).
---@class thrum.module.dgram
---@field Socket dgram.Socket # the class
---@field BlockList dgram.BlockList # the class
dgram = {}

---What finds the address of a name: by its callback, or by what it returns.
---@alias dgram.lookup async fun(host: string, options: { family: 4 | 6 }, callback: fun(err: any, address?: string | ip.address)): string | ip.address | nil

---Of `createSocket`: `signal`'s event "abort" closes the socket; sizes are in bytes.
---@alias dgram.options { type: "udp4" | "udp6", reuseAddr?: boolean, reusePort?: boolean, ipv6Only?: boolean, recvBufferSize?: integer, sendBufferSize?: integer, lookup?: dgram.lookup, signal?: emitter.Emitter, receiveBlockList?: dgram.BlockList, sendBlockList?: dgram.BlockList, sendQueueCount?: number, sendQueueSize?: number }

---Of `bind`: `port` and `address` where the options come first, the others everywhere.
---@alias dgram.bind_options { port?: integer | string, address?: string, fd?: file_descriptor, reuseaddr?: boolean, reuseport?: boolean, ipv6only?: boolean, reuseAddr?: boolean, reusePort?: boolean, ipv6Only?: boolean, exclusive?: true, linux_recverr?: false }

---An endpoint; `ip` is `address`, and `size` a message's length in bytes.
---@alias dgram.rinfo { address: string, ip: string, port: integer, family: "IPv4" | "IPv6", size?: integer }

---@alias dgram.message string | byte_span | (string | byte_span)[]

---An interface: one of its addresses, its name, its index; "::%eth0".
---@alias dgram.interface string | integer

---A socket; `listener` hears messages. Raises EINVAL, EMFILE, EAFNOSUPPORT.
---@param options? "udp4" | "udp6" | dgram.options # udp4 without
---@param listener? async fun(msg: string, rinfo: dgram.rinfo, flags: table)
---@return dgram.Socket
function dgram.createSocket(options, listener) end

---Events: message, listening, connect, error, timeout, drain, close. Every call but close, ref, unref
---and questions about the queue raises EBADF on a closed socket.
---@class dgram.Socket: emitter.Emitter
local socket = {}

---What `new` calls. Raises EINVAL.
---@param options? "udp4" | "udp6" | dgram.options
---@param listener? async fun(msg: string, rinfo: dgram.rinfo, flags: table)
function socket:initialize(options, listener) end

---Bind and receive: ([port][, address][, listener]), (options[, listener]) or (port, address,
---options[, listener]). What the system says is an error event. Raises EINVAL (bound already).
---@param port? integer | string | dgram.bind_options | async fun()
---@param address? string | async fun()
---@param options? dgram.bind_options | async fun()
---@param listener? async fun() # for "listening"
---@return self
function socket:bind(port, address, options, listener) end

---Send one datagram: (msg[, offset, length][, port[, address]][, callback]). Never suspends. Errors go
---to the callback, else they are an error event. Raises EINVAL, EISCONN.
---@param msg dgram.message
---@param ... integer | string | async fun(err: error?, length: integer)
---@return boolean # false: the queue is full, wait for "drain"
function socket:send(msg, ...) end

---The same; offset and length have to be there.
---@param msg dgram.message
---@param offset integer # bytes left out
---@param length integer
---@param ... integer | string | async fun(err: error?, length: integer)
---@return boolean
function socket:sendto(msg, offset, length, ...) end

---Set the peer. Raises EISCONN.
---@param port integer | string
---@param address? string | async fun(err: error?)
---@param callback? async fun(err: error?)
---@return self
function socket:connect(port, address, callback) end

---Disconnect from the peer. Raises ENOTCONN.
function socket:disconnect() end

---Close when the queue is empty. Quiet the second time.
---@param callback? async fun()
---@return self
function socket:close(callback) end

---Raises EBADF (not bound).
---@return dgram.rinfo
function socket:address() end

---Raises ENOTCONN.
---@return dgram.rinfo
function socket:remoteAddress() end

---Receive no more.
---@return 0?
---@return string? message
---@return string? name
function socket:recvStop() end

---Receive again.
---@return 0?
---@return string? message
---@return string? name
function socket:recvStart() end

---The event "timeout" after that time without a datagram; 0 ends that.
---@param msecs number # milliseconds
---@param callback? async fun()
---@return self
function socket:setTimeout(msecs, callback) end

---Keep the program from ending while it receives.
---@return self
function socket:ref() end

---Do not.
---@return self
function socket:unref() end

---@param flag boolean
function socket:setBroadcast(flag) end

---@param ttl integer # 1 to 255
---@return integer ttl
function socket:setTTL(ttl) end

---@param ttl integer # 0 to 255
---@return integer ttl
function socket:setMulticastTTL(ttl) end

---@param flag boolean
---@return boolean flag
function socket:setMulticastLoopback(flag) end

---Raises ENODEV, EADDRNOTAVAIL, EAFNOSUPPORT.
---@param interface dgram.interface
function socket:setMulticastInterface(interface) end

---Join a group. Raises EINVAL (no group), EADDRINUSE (a member already), ENODEV.
---@param multicastAddress string
---@param interface? dgram.interface | "*" # nil: the system chooses; "*": every one that can
---@return 0
function socket:addMembership(multicastAddress, interface) end

---Leave a group. Raises EADDRNOTAVAIL (no member).
---@param multicastAddress string
---@param interface? dgram.interface | "*"
---@return 0
function socket:dropMembership(multicastAddress, interface) end

---Both: luvit's form. The interface may be left out.
---@param multicastAddress string
---@param interface? dgram.interface | "*" | "join" | "leave"
---@param op? "join" | "leave"
---@return 0
function socket:setMembership(multicastAddress, interface, op) end

---Join one source of a group: RFC 3678.
---@param sourceAddress string
---@param groupAddress string
---@param interface? dgram.interface | "*"
---@return 0
function socket:addSourceSpecificMembership(sourceAddress, groupAddress, interface) end

---Leave it.
---@param sourceAddress string
---@param groupAddress string
---@param interface? dgram.interface | "*"
---@return 0
function socket:dropSourceSpecificMembership(sourceAddress, groupAddress, interface) end

---@return integer # bytes
function socket:getSendQueueSize() end

---@return integer # datagrams
function socket:getSendQueueCount() end

---@return integer # bytes
function socket:getRecvBufferSize() end

---@return integer # bytes
function socket:getSendBufferSize() end

---@param size integer # bytes
function socket:setRecvBufferSize(size) end

---@param size integer # bytes
function socket:setSendBufferSize(size) end

---A set of addresses, as Node's net.BlockList.
---@class dgram.BlockList
local list = {}

---@return dgram.BlockList
function list:new() end

---Raises EINVAL.
---@param address string | ip.address
---@param family? "ipv4" | "ipv6"
function list:addAddress(address, family) end

---All from the one to the other. Raises EINVAL.
---@param start string | ip.address
---@param last string | ip.address
---@param family? "ipv4" | "ipv6"
function list:addRange(start, last, family) end

---Raises EINVAL.
---@param net string | ip.address
---@param prefix integer # 0 to 32, or 128
---@param family? "ipv4" | "ipv6"
function list:addSubnet(net, prefix, family) end

---@param address string | ip.address
---@param family? "ipv4" | "ipv6"
---@return boolean
function list:check(address, family) end

---@return string[]
function list:rules() end

return dgram
