-- SPDX-License-Identifier: BSL-1.0
-- Where ours gives something else than LuaSocket's own, on purpose: what either gives, the item of
-- the list of features (suite.lua), and the row of the page's table, by the beginning of it
-- (socket(3thrum), NOTES). Each has a case that shows it, and each row of the page one of these, or
-- a reason below.
local differences = {
    ["connect: the family without a local address"] = {
        item = "D24", page = "connect with a family", real = true, ours = false,
    },
    ["connect: a port above 65,535"] = {
        item = "D53", page = "ports above 65,535", real = "wraps round", ours = "fails",
    },
    ["counts: integers or floats"] = {
        item = "D59", page = "counts:", real = "float", ours = "integer",
    },
    ["dns: the aliases of a host"] = {
        item = "D41", page = "resolved.alias", real = {"neun.test"}, ours = {},
    },
    ["getoption: ip-add-membership"] = {
        item = "D75", page = "getoption of", real = "raises",
        ours = {{multiaddr = "224.1.2.3", interface = "127.0.0.1"}},
    },
    ["getoption: ip-drop-membership"] = {
        item = "D75", page = "getoption of", real = "raises",
        ours = {{multiaddr = "224.1.2.3", interface = "127.0.0.1"}},
    },
    ["getoption: ip-multicast-ttl"] = {
        item = "D75", page = "getoption of", real = "raises", ours = 3,
    },
    ["getoption: ipv6-v6only of TCP"] = {
        item = "D19", page = "getoption of", real = "raises", ours = true,
    },
    ["getpeername: an IPv4 peer of an IPv6 socket"] = {
        item = "D54", page = "addresses of IPv4 peers",
        real = {"::ffff:127.0.0.1", "inet6"}, ours = {"127.0.0.1", "inet"},
    },
    ["getsockname: the type of the port"] = {
        item = "D55", page = "getsockname", real = "string", ours = "number",
    },
    ["getstats: of a master or server"] = {
        item = "D56", page = "getstats, setstats", real = "raises", ours = 0,
    },
    ["select: 1,100 sockets"] = {item = "D12", page = "select", real = "raises", ours = "timeout"},
    ["select: a number among the sockets"] = {
        item = "D11", page = "select", real = "raises", ours = 1,
    },
    ["select: two objects with one descriptor"] = {
        item = "D14", page = "select", real = {0, 1}, ours = {1, 2},
    },
    ["setoption: ipv6-multicast-hops"] = {
        item = "D87", page = "ipv6-multicast-hops", real = {5, 5}, ours = {5, 7},
    },
    ["setstats: of a master or server"] = {
        item = "D62", page = "getstats, setstats", real = "raises", ours = 1,
    },
    ["settimeout: 'b' and a call of many waits"] = {
        item = "D63", page = 'timeout "b"', real = "timeout", ours = "whole",
    },
    ["SIGPIPE: whether it is ignored"] = {
        item = "D59", page = "send of a closed connection", real = true, ours = false,
    },
    ["udp: _DATAGRAMSIZE"] = {
        item = "D73", page = "receive and receivefrom", real = 8192, ours = 65535,
    },
    ["udp: receive on a closed socket"] = {
        item = "D70", page = "receive on a closed", real = {""}, ours = {nil, "closed"},
    },
    ["udp: receive without a size"] = {
        item = "D73", page = "receive and receivefrom", real = 8192, ours = 10000,
    },
    ["udp: receivefrom on a closed socket"] = {
        item = "D70", page = "receive on a closed",
        real = {nil, "ai_family not supported"}, ours = {nil, "closed"},
    },
    ["udp: send and sendto on a closed socket"] = {
        item = "D70", page = "receive on a closed", real = {nil, "refused"},
        ours = {nil, "closed"},
    },
}

-- What cannot be shown by the same case on both.
local elsewhere = {
    ["dns, and names"] = "test/lua and test/peer have lookups that hold up nobody",
}

return differences, elsewhere
