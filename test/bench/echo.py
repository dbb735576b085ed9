# SPDX-License-Identifier: BSL-1.0
"""What the benchmarks of UDP echo servers share: their rounds, and what is told about them.

Each round starts every server once, in another order, on one processor; a batching client on
another keeps a window of 64-byte datagrams under way. Medians over the rounds, the server's own
processor time per echo, and thrum's ratio to each peer in the same round. The ratio "by CPU" takes
the processor time of all rounds instead of the clock: on a busy machine it is the steadier one.
"""

import argparse

import bench

GOAL_WINDOW = 64
ECHOES = {1: 20000, 64: 300000}
WARM_UP = 20000
MAX_SECONDS = 10
SATURATED = 0.9


def echoes_for(window, quick):
    """About a second of work at any window; a quarter of it when it has to be quick."""
    n = ECHOES.get(window) or (ECHOES[64] if window >= 16 else ECHOES[1] * window)
    return n // 4 if quick else n


def order_of(peers, turn):
    """Another peer begins each round, and every other round goes backwards."""
    first = turn % len(peers)
    order = peers[first:] + peers[:first]
    return order[::-1] if turn % 2 else order


def measure_peer(build, peer, args, server_cpu, client_cpu):
    """Samples of one server process, by window."""
    samples = {}
    with bench.Server(peer, server_cpu) as server:
        bench.run_client(build, server, client_cpu, GOAL_WINDOW, WARM_UP, MAX_SECONDS)
        for window in args.windows:
            samples[window] = bench.run_client(build, server, client_cpu, window,
                                               echoes_for(window, args.quick), MAX_SECONDS,
                                               spin=args.spin)
    return samples


def measure(build, peers, args):
    """{window: {peer name: [sample of each round]}}; a peer that fails is left out of all."""
    server_cpu, client_cpu, remark = bench.cpus()
    print(f'server on processor {server_cpu}, client on processor {client_cpu}')
    if remark:
        print(f'note: {remark}')
    found = {window: {peer.name: [] for peer in peers} for window in args.windows}
    failed = set()
    for turn in range(args.rounds):
        for peer in order_of(peers, turn):
            if peer.name in failed:
                continue
            try:
                for window, sample in measure_peer(build, peer, args, server_cpu,
                                                   client_cpu).items():
                    found[window][peer.name].append(sample)
            except bench.BenchError as err:
                print(f'FAILED: {err}')
                failed.add(peer.name)
    for by_name in found.values():
        for name in failed:
            del by_name[name]
    return found, bool(failed)


def rates(samples):
    return [sample.echoes / sample.seconds for sample in samples]


def total(samples):
    """All rounds as one sample."""
    return bench.Sample(*(sum(column) for column in zip(*samples)))


def cpu_per_echo(samples):
    all_of_them = total(samples)
    return (all_of_them.user + all_of_them.system) / max(1, all_of_them.echoes)


def busy_share(samples):
    all_of_them = total(samples)
    return (all_of_them.user + all_of_them.system) / all_of_them.seconds


def summary_row(title, samples):
    speeds, whole = rates(samples), total(samples)
    return [title, f'{bench.median(speeds):,.0f}', f'{min(speeds):,.0f}', f'{max(speeds):,.0f}',
            f'{whole.user / max(1, whole.echoes) * 1e6:.2f}',
            f'{whole.system / max(1, whole.echoes) * 1e6:.2f}',
            f'{busy_share(samples):.0%}', whole.lost]


def warn_of_idle_servers(peers, by_name):
    idle = [peer.title for peer in peers
            if peer.name in by_name and busy_share(by_name[peer.name]) < SATURATED]
    if idle:
        print(f"DOUBTFUL: {', '.join(idle)}: the server had less than {SATURATED:.0%} of its "
              'processor, so the clock measured something else too')


def print_summary(window, peers, by_name):
    some = next(iter(by_name.values()))
    print(f'\nwindow {window}, {some[0].echoes:,} echoes a measurement, {len(some)} rounds')
    head = ['server', 'echoes/s', 'lowest', 'highest', 'user us', 'system us', 'busy', 'lost']
    bench.print_table(head, [summary_row(peer.title, by_name[peer.name])
                             for peer in peers if peer.name in by_name])
    if window == GOAL_WINDOW:
        warn_of_idle_servers(peers, by_name)


def ratio_row(peer, thrum, other, window, goals):
    ratios = [ours / theirs for ours, theirs in zip(rates(thrum), rates(other))]
    middle = bench.median(ratios)
    goal = goals.get(peer.name) if window == GOAL_WINDOW else None
    verdict = f'>= {goal:.2f} {bench.goal_text(middle >= goal)}' if goal else ''
    by_cpu = cpu_per_echo(other) / cpu_per_echo(thrum) if cpu_per_echo(thrum) else 0
    return [peer.title, *(f'{ratio:.2f}' for ratio in ratios), f'{middle:.2f}', f'{by_cpu:.2f}',
            verdict]


def print_ratios(window, peers, by_name, goals):
    """Of the peer 'thrum' to each other one."""
    thrum = by_name.get('thrum')
    others = [peer for peer in peers if peer.name != 'thrum' and peer.name in by_name]
    if not thrum or not others:
        return
    print(f'\nthrum to each peer, window {window}, round by round')
    head = ['peer', *(str(turn + 1) for turn in range(len(thrum))), 'median', 'by CPU', 'goal']
    bench.print_table(head, [ratio_row(peer, thrum, by_name[peer.name], window, goals)
                             for peer in others])


def parser_of(text, names):
    """The options that they have in common."""
    parser = argparse.ArgumentParser(description=text,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('build', help='build directory')
    parser.add_argument('--quick', action='store_true', help='3 short rounds: a first impression')
    parser.add_argument('--rounds', type=int, help='rounds (7)')
    parser.add_argument('--windows', default='64,1', help='datagrams under way (64,1)')
    parser.add_argument('--peers', help=f'{names} (all)')
    parser.add_argument('--spin', action='store_true',
                        help='the client asks without blocking, so no server has to wake it')
    return parser


def parse(parser):
    args = parser.parse_args()
    args.rounds = args.rounds or (3 if args.quick else 7)
    args.windows = [int(word) for word in args.windows.split(',')]
    return args


def compare(build, peers, args, goals):
    """Measures and prints; the samples, and whether a peer has failed."""
    if not peers:
        raise bench.BenchError('no server can run')
    found, is_failed = measure(build, peers, args)
    if not all(found.values()):
        raise bench.BenchError('no server ran')
    for window in args.windows:
        print_summary(window, peers, found[window])
        print_ratios(window, peers, found[window], goals)
    return found, is_failed
