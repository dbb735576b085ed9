-- SPDX-License-Identifier: BSL-1.0
-- socket.dns: the names are those of the namespace's hosts file.
local c, t = ...
local lu, socket = c.lu, c.socket
local dns = socket.dns

t["D40: tohostname gives the name of an address, and all that is known"] = function()
    c.skip_without_hosts()
    local name, resolved = dns.tohostname("127.0.0.9")
    lu.assertEquals(name, "nine.test")
    lu.assertEquals({resolved.name, resolved.ip}, {"nine.test", {"127.0.0.9"}})
    c.differs("dns: the aliases of a host", resolved.alias)
end

t["D40: tohostname takes a name, too"] = function()
    c.skip_without_hosts()
    lu.assertEquals((dns.tohostname("neun.test")), "nine.test")
end

t["D40: tohostname of what nobody has"] = function()
    c.skip_without_hosts()
    c.fails("host not found", dns.tohostname("127.0.0.77"))
    c.fails("host not found", dns.tohostname("nowhere.test"))
end

t["D41: toip gives the first IPv4 address, and all that is known"] = function()
    c.skip_without_hosts()
    local ip, resolved = dns.toip("neun.test")
    lu.assertEquals(ip, "127.0.0.9")
    lu.assertEquals(resolved, {name = "nine.test", alias = {"neun.test"}, ip = {"127.0.0.9"}})
    ip, resolved = dns.toip("nine.test")
    lu.assertEquals({ip, resolved.name}, {"127.0.0.9", "nine.test"})
    c.differs("dns: the aliases of a host", resolved.alias)
end

t["D41: toip of a number gives the number, and the names that it has"] = function()
    c.skip_without_hosts()
    local ip, resolved = dns.toip("127.0.0.1")
    lu.assertEquals(ip, "127.0.0.1")
    lu.assertEquals(resolved, {name = "localhost", alias = {}, ip = {"127.0.0.1"}})
    c.fails("host not found", dns.toip("127.0.0.77"))
end

t["D41: toip of what nobody has"] = function()
    c.skip_without_hosts()
    c.fails("host not found", dns.toip("nowhere.test"))
end

t["D42: gethostname is the system's name"] = function()
    local pipe = assert(io.popen("uname -n"))
    local name = pipe:read()
    pipe:close()
    lu.assertEquals(dns.gethostname(), name)
end

t["D43: getaddrinfo lists addresses with their families"] = function()
    lu.assertEquals(dns.getaddrinfo("127.0.0.1"), {{family = "inet", addr = "127.0.0.1"}})
    lu.assertEquals(dns.getaddrinfo("::1"), {{family = "inet6", addr = "::1"}})
    c.skip_without_hosts()
    lu.assertEquals(dns.getaddrinfo("nine.test"), {{family = "inet", addr = "127.0.0.9"}})
    local both = dns.getaddrinfo("localhost")
    local families = {}
    for _, entry in ipairs(both) do
        families[entry.family] = entry.addr
    end
    lu.assertEquals(families, {inet = "127.0.0.1", inet6 = "::1"})
end

t["D43: getaddrinfo of what nobody has"] = function()
    c.skip_without_hosts()
    c.fails("host or service not provided, or not known", dns.getaddrinfo("nowhere.test"))
end

t["D44: getnameinfo lists the names of an address"] = function()
    c.skip_without_hosts()
    lu.assertEquals(dns.getnameinfo("127.0.0.9"), {"nine.test"})
    lu.assertEquals(dns.getnameinfo("::1"), {"localhost"})
    lu.assertEquals(dns.getnameinfo("neun.test"), {"nine.test"})
end

t["D44: getnameinfo's second argument is a service"] = function()
    c.skip_without_hosts()
    local names, service = dns.getnameinfo("127.0.0.9", "80")
    lu.assertEquals(names, {"nine.test"})
    lu.assertEquals(service, "http")
end

t["D44: getnameinfo of what nobody has"] = function()
    c.skip_without_hosts()
    c.fails("host or service not provided, or not known", dns.getnameinfo("nowhere.test"))
end
