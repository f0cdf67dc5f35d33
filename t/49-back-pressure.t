# Clients and commands that do not read: who writes to them waits, the daemon keeps little, and nobody else is slowed down.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;
use Cricket::Stream;
use List::Util qw(max sum0);
use Time::HiRes 'time';

my $c = Cricket->new(registry => 1);
$c->{config} = {log_level => 'info'};
$c->start;
$c->pull;
my $pod_config = $c->pod_config(name => 'main');
my $pod = $c->run_pod($pod_config);
my $id = $c->run_container($pod, $pod_config, $c->container_config('sleep 100000'));
my $SANITIZED = slurp("/proc/$c->{daemon_pid}/maps") =~ /libasan/;    # whose memory says nothing of ours

my $GIGABYTE = 1_000_000_000;
my $LATE     = 120_000_000;
my $PATIENT  = 20;
my $SESSION_KIB = 192;    # what command_session.h promises, and the allocator's rounding

sub session { my ($command, %o) = @_; return Cricket::Stream->exec($c, $id, $command, %o) }
sub anonymous { return (slurp("/proc/$c->{daemon_pid}/smaps_rollup") =~ /^Anonymous: +(\d+)/m)[0] }

# Bytes that the processes have read and written by now.
sub moved {
    my (@pids) = @_;
    return sum0 map { (slurp("/proc/$_/io") // '') =~ /^rchar: (\d+)\nwchar: (\d+)/ ? $1 + $2 : 0 } @pids;
}

# Waits until nothing has moved for half a second, while the test serves its sessions.
sub standstill {
    my ($what, $measure) = @_;
    my ($last, $since) = (-1, time);
    Cricket::Stream->until($what, sub {
        my $now = $measure->();
        ($last, $since) = ($now, time) if $now != $last;
        return $last > 0 && time - $since > 0.5;
    }, 60);
    return $last;
}

# Megabytes a second that one honest client gets.
sub speed {
    my $began = time;
    my $s = session(['head', '-c', 200_000_000, '/dev/zero'], hash => 'count');
    $s->exit_code(60);
    return $s->{seen}{stdout} == 200_000_000 ? 200 / (time - $began) : 0;
}
my $alone = max(speed(), speed());

for my $transport (qw(spdy websocket)) {
    $c->leaks_nothing("clients that never read, $transport", sub {
        my $before = anonymous();
        my @s = map { session(['head', '-c', $_, '/dev/zero'], transport => $transport, stderr => 0, rcvbuf => 65536) } $LATE, ($GIGABYTE) x ($PATIENT - 1);
        $_->{reading} = 0 for @s;
        my @writers;
        wait_for('the writers', sub { (@writers = $c->processes_of($id, qr/^head -c \d+0000000 /)) == $PATIENT });
        my $moved = standstill('the writers to wait', sub { moved(@writers) });
        cmp_ok $moved / $PATIENT, '<', 0.05 * $GIGABYTE, sprintf '%s: %d clients that never read a gigabyte: the writers wait, at %.1f MB each', $transport, $PATIENT, $moved / $PATIENT / 1e6;
        my $grown = anonymous() - $before;
        note "$transport: $PATIENT stuck sessions take $grown KiB of the daemon";
        cmp_ok $grown, '<', $PATIENT * $SESSION_KIB, "... a session takes less than $SESSION_KIB KiB ($grown for all)" if !$SANITIZED;
        my $beside = max(speed(), speed());
        cmp_ok $beside, '>', $alone / 4, sprintf '... another client is as fast as it was (%.0f MB/s, %.0f alone)', $beside, $alone;
        is moved(@writers), $moved, '... while they still wait';
        @{$s[0]}{qw(reading hash)} = (1, 'count');
        is $s[0]->exit_code(90), 0, '... one that reads at last';
        is $s[0]{seen}{stdout}, $LATE, '... gets all of it';
        $_->close for @s[1 .. $#s];
        wait_for('the other writers to end', sub { !$c->processes_of($id, qr/^head -c \d+0000000 /) });
    });
    $c->leaks_nothing("commands that never read, $transport", sub {
        my $before = anonymous();
        my @s = map { session(['sleep', '30000'], stdin => 1, transport => $transport) } 1 .. $PATIENT;
        my $block = "\0" x 60_000;
        my $written = 0;
        standstill('the clients to wait', sub {
            for my $s (grep { length $_->{out} < 1 << 17 } @s) {
                $s->write(stdin => $block);
                $written += length $block;
            }
            return $written;
        });
        note sprintf '%s: a client has sent %.1f MB to a command that reads nothing', $transport, $written / $PATIENT / 1e6;
        cmp_ok $written / $PATIENT, '<', 30e6, "$transport: a command that never reads holds its client back";
        my $grown = anonymous() - $before;
        cmp_ok $grown, '<', $PATIENT * 2 * $SESSION_KIB, "... a session takes less than @{[2 * $SESSION_KIB]} KiB ($grown for all)" if !$SANITIZED;
        cmp_ok speed(), '>', $alone / 4, '... another client is as fast as it was';
        $_->abort for @s;
        my @sleepers = $c->processes_of($id, qr/^sleep 30000/);
        is @sleepers, $PATIENT, '... the commands stay when their clients are gone';
        kill KILL => @sleepers;
    });
}
$c->stop;
done_testing;
