#!/usr/bin/perl
# Exec, attach and port-forward of cricketd beside containerd, by turns: throughput and its CPU, time to the first byte, memory of
# sessions that do nothing. The client is that of t/conformance/streaming, made of client-go. Prints a Markdown table. Run it by
# `make bench-stream`. Options: --rounds N, --megabytes N, --oci runc, --only throughput|memory.
use v5.32;
use warnings;
use FindBin; BEGIN { $FindBin::Bin .= '/../t' } use lib "$FindBin::Bin/lib", "$FindBin::Bin/../bench/lib"; use Cricket;
use Bench::Containerd;
use Bench::Cricketd;
use Bench::Images;
use Getopt::Long;
use IPC::Open2;
use Time::HiRes qw(time);

my %o = (rounds => 5, megabytes => 500, oci => 'crun', only => '');
GetOptions(\%o, 'rounds=i', 'megabytes=i', 'oci=s', 'only=s') or die "see bench/stream.pl\n";
my $SESSIONS = 200;   # so many that a heap's slack does not hide them
my $QUIET_S  = 7;    # cricketd gives memory back 5 s after its last work
my $CLIENT   = "$Cricket::TOOLS/tools/streaming/client";

my $bench = Cricket->new;
$bench->start_registry(Bench::Images::storage());
my @runtimes = map { prepare($_->new($bench, oci => $o{oci})) } qw(Bench::Containerd Bench::Cricketd);
my (%samples, @figures);    # {figure}{runtime} => [values]; figures in the order in which they came

sub prepare {
    my ($r) = @_;
    $r->start;
    $r->pull($Cricket::BUSYBOX, "$Cricket::REGISTRY/bench/pause:1");
    with_client($r, \&make_pod);
    return $r;
}

sub with_client {
    my ($r, $code) = @_;
    $bench->{client} = Cricket::Client->new($r->{socket}, "$Cricket::TOOLS/py");
    $code->($r);
    $bench->close_client;
}

# What is streamed to: a pod with a server of ports, to exec in as well, and cat, several times, to attach to.
sub make_pod {
    my ($r) = @_;
    my $config = $bench->pod_config(linux => {cgroup_parent => "$r->{cgroup}/pods"});
    my $run = sub {
        my ($script, %over) = @_;
        return $bench->run_container($r->{pod}, $config, $bench->container_config($script, %over));
    };
    $r->{pod} = $bench->run_pod($config);
    $r->{exec} = $run->('exec /client/client -port 7000 serve',
        mounts => [{host_path => "$Cricket::TOOLS/tools/streaming", container_path => '/client', readonly => JSON::PP::true}]);
    $r->{attach} = join ',', map { $run->('exec cat', stdin => JSON::PP::true) } 1 .. $SESSIONS / 25;    # a container has 32 clients at most
}

# The daemon and its pod anew, so that no garbage of earlier work takes in what comes.
sub fresh {
    my ($r) = @_;
    with_client($r, sub { $bench->remove_pod($r->{pod}) });
    $r->stop;
    $r->start;
    with_client($r, \&make_pod);
}

sub client_argv {
    my ($r, $container, @rest) = @_;
    # containerd and its shims, cricketd and its keepers
    my $processes = $r->name;
    return ($CLIENT, '-socket', $r->{socket}, '-pod', $r->{pod}, '-container', $r->{$container}, '-processes', $processes, @rest);
}

sub add {
    my ($r, $figure, $value) = @_;
    push @figures, $figure if !$samples{$figure};
    push @{$samples{$figure}{$r->name}}, $value;
}

# ---- throughput ----------------------------------------------------------------------------------------------------------

sub throughput {
    my ($r) = @_;
    my ($rc, $text) = run(client_argv($r, 'exec', '-megabytes', $o{megabytes}, 'measure'));
    die $r->name . ": $text", $r->log_tail if $rc;
    add($r, "$1, $2", $3) while $text =~ /^(.*)\t(.*)\t(.*)$/mg;
}

# ---- memory --------------------------------------------------------------------------------------------------------------

# KiB of PSS of the daemon and of its shims or keepers.
sub memory {
    my ($r) = @_;
    my $name = $r->name;
    my $sum = 0;
    for my $file (glob '/proc/[0-9]*/comm') {
        next if (slurp($file) // '') !~ /^\Q$name\E/;
        $sum += $1 if (slurp($file =~ s/comm$/smaps_rollup/r) // '') =~ /^Pss:\s+(\d+)/m;
    }
    return $sum;
}

sub quiet {
    my $end = time + $QUIET_S;
    select undef, undef, undef, 0.2 while time < $end;
}

# Opens sessions of a kind and runs $code when all are there.
sub hold {
    my ($r, $kind, $n, $code) = @_;
    my $pid = open2(my $out, my $in, client_argv($r, $kind eq 'attach' ? 'attach' : 'exec', '-kind', $kind, '-sessions', $n, 'hold'));
    (<$out> // '') eq "up\n" or die $r->name . ": $kind: no sessions\n", $r->log_tail;
    $code->();
    close $in;
    waitpid $pid, 0;
}

# What idle sessions add, KiB each, to a daemon that has had one.
sub sessions {
    my ($r, $kind) = @_;
    fresh($r);
    hold($r, $kind, 1, sub { });
    quiet();
    my $before = memory($r);
    hold($r, $kind, $SESSIONS, sub {
        quiet();
        add($r, "an idle $kind session, KiB of PSS", (memory($r) - $before) / $SESSIONS);
    });
}

# ---- the table -----------------------------------------------------------------------------------------------------------

sub median {
    my @sorted = sort { $a <=> $b } @_;
    return @sorted % 2 ? $sorted[@sorted / 2] : ($sorted[@sorted / 2 - 1] + $sorted[@sorted / 2]) / 2;
}

sub number { return $_[0] >= 100 ? sprintf '%.0f', $_[0] : $_[0] >= 10 ? sprintf '%.1f', $_[0] : sprintf '%.2f', $_[0] }

sub cell {
    my @sorted = sort { $a <=> $b } @_;
    return sprintf '%s (%s to %s)', map { number($_) } median(@sorted), @sorted[0, -1];
}

sub row {
    my ($figure) = @_;
    my ($theirs, $ours) = map { $samples{$figure}{$_->name} } @runtimes;
    my $base = median(@$theirs);
    return sprintf '| %s | %s | %s | %s |', $figure, cell(@$theirs), cell(@$ours), $base > 0 ? sprintf '%.2f', median(@$ours) / $base : '-';
}

sub load { return (split ' ', slurp('/proc/loadavg'))[0] }

# Every round's order: A B, B A, A B, ...: neither is always the first.
sub rounds {
    my ($code) = @_;
    for my $round (1 .. $o{rounds}) {
        $code->($_) for $round % 2 ? @runtimes : reverse @runtimes;
    }
}

my $load = load();
if ($o{only} ne 'throughput') {
    for my $kind ('exec', 'attach', 'port-forward') {
        rounds(sub { sessions($_[0], $kind) });
    }
}
if ($o{only} ne 'memory') {
    my %counted = %samples;
    my @counted = @figures;
    throughput($_) for @runtimes;    # not counted: the first time
    %samples = %counted;
    @figures = @counted;
    rounds(\&throughput);
}
say "# load $load before, ", load(), " after; $o{rounds} rounds by turns, $o{megabytes} MB each way, $SESSIONS sessions, $o{oci}";
say "# median (least to most) of ", join ' and ', map { $_->version } @runtimes;
say for '| figure | containerd | cricket | cricket / containerd |', '|---|---|---|---|', map { row($_) } @figures;
exit 0;
