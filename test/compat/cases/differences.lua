-- SPDX-License-Identifier: BSL-1.0
-- Where ours gives something else than LuaSocket's own, on purpose: what either gives, and the item
-- of the list of features. The page socket(3thrum) has the same table in words.
return {
    ["connect: the family without a local address"] = {item = "D24", real = true, ours = false},
    ["dns: the aliases of a host"] = {item = "D41", real = {"neun.test"}, ours = {}},
    ["getoption: ip-add-membership"] = {
        item = "D75", real = "raises", ours = {{multiaddr = "224.1.2.3", interface = "127.0.0.1"}},
    },
    ["getoption: ip-drop-membership"] = {
        item = "D75", real = "raises", ours = {{multiaddr = "224.1.2.3", interface = "127.0.0.1"}},
    },
    ["getoption: ip-multicast-ttl"] = {item = "D75", real = "raises", ours = 3},
    ["getoption: ipv6-v6only of TCP"] = {item = "D19", real = "raises", ours = true},
    ["getpeername: an IPv4 peer of an IPv6 socket"] = {
        item = "D54", real = {"::ffff:127.0.0.1", "inet6"}, ours = {"127.0.0.1", "inet"},
    },
    ["getsockname: the type of the port"] = {item = "D55", real = "string", ours = "number"},
    ["getstats: of a master or server"] = {item = "D56", real = "raises", ours = 0},
    ["select: 1,100 sockets"] = {item = "D12", real = "raises", ours = "timeout"},
    ["select: a number among the sockets"] = {item = "D11", real = "raises", ours = 1},
    ["setoption: ipv6-multicast-hops"] = {item = "D87", real = {5, 5}, ours = {5, 7}},
    ["setstats: of a master or server"] = {item = "D62", real = "raises", ours = 1},
    ["udp: _DATAGRAMSIZE"] = {item = "D73", real = 8192, ours = 65535},
    ["udp: receive on a closed socket"] = {item = "D70", real = {""}, ours = {nil, "closed"}},
    ["udp: receive without a size"] = {item = "D73", real = 8192, ours = 10000},
    ["udp: receivefrom on a closed socket"] = {
        item = "D70", real = {nil, "ai_family not supported"}, ours = {nil, "closed"},
    },
    ["udp: send and sendto on a closed socket"] = {
        item = "D70", real = {nil, "refused"}, ours = {nil, "closed"},
    },
}
