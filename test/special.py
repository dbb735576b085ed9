#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""What ip.address says of an address (is_global and its kin) against Python's ipaddress, at both
edges of every block that has a special purpose, and just outside of them.

    special.py THRUM special.c          compare; special.c is the table's source
    special.py --self-test              a wrong answer is found

IANA's registries of special-purpose addresses decide. Where Python has another answer, or had one
in an older version, the block stands in DIFFERENCES with ours and the reason."""

import ipaddress
import pathlib
import re
import subprocess
import sys

SCRIPT = '''
for line in io.lines() do
    local a = ip.address.new(line)
    local function bit(name) return a[name] and "1" or "0" end
    print(bit "is_global" .. bit "is_private" .. bit "is_loopback" .. bit "is_multicast"
        .. bit "is_unspecified"
        .. (a.is_v6 and bit "is_link_local" .. bit "is_site_local" or "--"))
end
'''

# The registries of 2025, multicast's blocks of less than global scope, and what is deprecated.
BLOCKS = '''
0.0.0.0/8 0.0.0.0/32 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12
192.0.0.0/24 192.0.0.0/29 192.0.0.8/32 192.0.0.9/32 192.0.0.10/32 192.0.0.170/31 192.0.2.0/24
192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15
198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 224.0.0.0/24 233.252.0.0/24 239.0.0.0/8 240.0.0.0/4
255.255.255.255/32
::/128 ::1/128 ::ffff:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23
2001::/32 2001:1::1/128 2001:1::2/128 2001:1::3/128 2001:2::/48 2001:3::/32 2001:4:112::/48
2001:10::/28 2001:20::/28 2001:30::/28 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20
5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8 ff01::/16 ff02::/16 ff05::/16 ff08::/16 ff0e::/16
ff1e::/16
'''

# Whether the block is global, for us. The first that holds an address counts.
DIFFERENCES = (
    ('192.0.0.9/32', True, 'RFC 7723; Python before 3.12.4 and 3.11.10 knows no exceptions'),
    ('192.0.0.10/32', True, 'RFC 8155; likewise'),
    ('192.0.0.0/24', False, 'RFC 6890; Python before 3.12.4 and 3.11.10 has parts of it'),
    ('192.88.99.0/24', False, 'RFC 7526: deprecated, neither true nor false in the registry'),
    ('224.0.0.0/24', False, 'RFC 5771: never forwarded; Python asks the unicast registry only'),
    ('233.252.0.0/24', False, 'RFC 6676: documentation; likewise'),
    ('239.0.0.0/8', False, 'RFC 2365: administratively scoped; likewise'),
    ('64:ff9b:1::/48', False, 'RFC 8215; Python before 3.12.4 has it not'),
    ('100:0:0:1::/64', False, 'RFC 9780; new'),
    ('2001:1::1/128', True, 'RFC 7723; Python before 3.12.4 knows no exceptions'),
    ('2001:1::2/128', True, 'RFC 8155; likewise'),
    ('2001:1::3/128', True, 'RFC 9665; new'),
    ('2001:3::/32', True, 'RFC 7450; Python before 3.12.4 knows no exceptions'),
    ('2001:4:112::/48', True, 'RFC 7535; likewise'),
    ('2001:20::/28', True, 'RFC 7343; likewise'),
    ('2001:30::/28', True, 'RFC 9374; likewise'),
    ('2002::/16', False, 'RFC 3056: 6to4, neither true nor false; Python before 3.12.4 has it not'),
    ('3fff::/20', False, 'RFC 9637; new'),
    ('5f00::/16', False, 'RFC 9602; new'),
    ('fec0::/10', False, 'RFC 3879: site-local, deprecated; Python has a property of its own'),
)

PRIVATE = [ipaddress.ip_network(text) for text in
           ('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7')]
MAPPED = ipaddress.ip_network('::ffff:0:0/96')


def blocks_of(source):
    """The networks in the rows of special.c."""
    for name, numbers in re.findall(r'^ *(V[46])\((.*?), (?:true|false)\)', source, re.MULTILINE):
        n = [int(number, 0) for number in numbers.split(',')]
        if name == 'V4':
            yield '%d.%d.%d.%d/%d' % tuple(n)
        else:
            high = n[0] << 48 | n[1] << 32 | n[2] << 16 | n[3]
            yield f'{ipaddress.IPv6Address(high << 64 | n[4])}/{n[5]}'


def edges(networks):
    """The first and the last address of each, and their neighbors outside; v4 ones mapped, too."""
    numbers = {4: set(), 6: set()}
    for network in map(ipaddress.ip_network, networks):
        first, last = int(network[0]), int(network[-1])
        numbers[network.version].update((first - 1, first, last, last + 1))
    v4 = [ipaddress.IPv4Address(n) for n in sorted(numbers[4]) if 0 <= n < 2 ** 32]
    v6 = [ipaddress.IPv6Address(n) for n in sorted(numbers[6]) if 0 <= n < 2 ** 128]
    return v4 + v6 + [ipaddress.IPv6Address(f'::ffff:{address}') for address in v4]


def is_global(address):
    if address in MAPPED:
        return is_global(address.ipv4_mapped)
    if address.version == 6 and address.is_multicast:
        return address.packed[1] & 15 == 14  # RFC 4291: the scope
    for text, answer, _ in DIFFERENCES:
        if address in ipaddress.ip_network(text):
            return answer
    return address.is_global


def expected(address):
    """As the script prints it. But for is_global and is_private a mapped address is itself."""
    plain = address.ipv4_mapped if address in MAPPED else address
    answers = [is_global(address), any(plain in network for network in PRIVATE)]
    if address in MAPPED:
        answers += [False] * 5
        return ''.join('01'[answer] for answer in answers)
    answers += [address.is_loopback, address.is_multicast, address.is_unspecified]
    text = ''.join('01'[answer] for answer in answers)
    if address.version == 4:
        return text + '--'
    return text + '01'[address.is_link_local] + '01'[address.is_site_local]


def compare(addresses, answers):
    return [f'{address}: {answer}, expected {expected(address)}'
            for address, answer in zip(addresses, answers) if answer != expected(address)]


def main(program, source):
    rows = list(blocks_of(pathlib.Path(source).read_text(encoding='utf-8')))
    if len(rows) < 30:
        sys.exit(f'only {len(rows)} rows found in {source}')
    missing = set(rows) - set(BLOCKS.split()) - {'::/127'}  # two blocks in one row
    addresses = edges(BLOCKS.split() + rows)
    result = subprocess.run([program, '-e', SCRIPT], text=True, capture_output=True, timeout=60,
                            input=''.join(f'{address}\n' for address in addresses), check=False)
    answers = result.stdout.split()
    if result.returncode or len(answers) != len(addresses):
        sys.exit(f'{program}: {len(answers)} answers to {len(addresses)} questions\n'
                 f'{result.stderr}')
    wrong = compare(addresses, answers) + [f'{each}: in no registry known here' for each in missing]
    print('\n'.join(wrong + [f'{len(addresses)} addresses, {len(wrong)} wrong: '
                             'is_global is_private is_loopback is_multicast is_unspecified '
                             'is_link_local is_site_local']))
    return 1 if wrong else 0


def self_test():
    addresses = edges(BLOCKS.split())
    right = [expected(address) for address in addresses]
    assert compare(addresses, right) == []
    for place in range(len(right[0])):
        wrong = list(right)
        flipped = {'0': '1', '1': '0', '-': '0'}[wrong[0][place]]
        wrong[0] = wrong[0][:place] + flipped + wrong[0][place + 1:]
        assert len(compare(addresses, wrong)) == 1
    return 0


sys.exit(self_test() if sys.argv[1:] == ['--self-test'] else main(*sys.argv[1:]))
