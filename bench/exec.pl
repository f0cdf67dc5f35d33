#!/usr/bin/perl
# ExecSync of `true` by exec plan and by the OCI runtime: how long a call takes, and what processor time the daemon and all
# that it started for it. Prints a Markdown table. Run it by `make bench-exec`.
use FindBin; BEGIN { $FindBin::Bin .= '/../t' } use lib "$FindBin::Bin/lib"; use Cricket;
use Time::HiRes qw(time sleep);

my $CALLS = $ENV{CALLS} // 200;

# Processor time of the daemon and its reaped children, in ms.
sub cpu {
    my ($c) = @_;
    my @f = split ' ', slurp("/proc/$c->{daemon_pid}/stat") =~ s/.*\) //r;
    return ($f[11] + $f[12] + $f[13] + $f[14]) * 1000 / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# $pause: seconds between two calls, as probes come.
sub measure {
    my ($c, $id, $pause, $n) = @_;
    my ($before, @ms) = cpu($c);
    for (1 .. $n) {
        my $t = time;
        $c->exec_sync($id, 'true');
        push @ms, (time - $t) * 1000;
        sleep $pause if $pause;
    }
    my $cpu = (cpu($c) - $before) / $n;
    @ms = sort { $a <=> $b } @ms;
    return map { sprintf '%.2f', $_ } $ms[$n / 2], $ms[$n * 0.9], $cpu;
}

print STDOUT '| handler | way | between calls | p50 ms | p90 ms | processor ms |', "\n";
print STDOUT '|---|---|---|---|---|---|', "\n";
for my $mode ('runtime', 'auto') {
    my $c = Cricket->new(registry => 1, config => {containers => {exec => $mode}, log_level => 'info'});
    $c->start;
    $c->pull;
    for my $handler ('crun', 'runc') {
        my $cfg = $c->pod_config;
        my $pod = $c->run_pod($cfg, handler => $handler);
        my $id  = $c->run_container($pod, $cfg, $c->container_config('sleep 1000 & wait',
            linux => {security_context => {seccomp => {profile_type => 'RuntimeDefault'}}}));
        $c->exec_sync($id, 'true') for 1 .. 3;
        for ([0, $CALLS], [0.05, $CALLS], [1, 20]) {
            my ($pause, $n) = @$_;
            print STDOUT join(' ', "| $handler | $mode |", $pause ? "$pause s |" : 'none |', map { "$_ |" } measure($c, $id, $pause, $n)), "\n";
        }
        $c->remove_pod($pod);
    }
    $c->stop;
}
done_testing;
