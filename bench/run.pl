#!/usr/bin/perl
# Measures cricketd beside containerd, in namespaces of its own: run.pl full | quick | profile. Run it by `make bench`,
# `make bench-quick`, `make profile`.
use v5.32;
use warnings;
use FindBin; BEGIN { $FindBin::Bin .= '/../t' } use lib "$FindBin::Bin/lib", "$FindBin::Bin/../bench/lib"; use Cricket;
use Bench::Containerd;
use Bench::Cricketd;
use Bench::Disk;
use Bench::Images;
use Bench::Plan;
use Bench::Report;
use Getopt::Long;

my $mode = shift // '';
$mode =~ /^(full|quick|profile)$/ or die "run.pl full | quick | profile\n";
my %o = (oci => 'crun', without => '', only => '');
GetOptions(\%o, 'runs=i', 'only=s', 'oci=s', 'without=s', 'pods=i', 'seconds=i') or die "see bench/bench.mk\n";

my $results = "$Cricket::TOOLS/bench-results";
mkdir $results;

my $bench = Cricket->new;
$bench->start_registry(Bench::Images::storage());
mkdir "$bench->{dir}/run";    # in memory, as /run is on nodes
(run('mount', '-t', 'tmpfs', 'tmpfs', "$bench->{dir}/run"))[0] == 0 or die "no tmpfs on $bench->{dir}/run\n";
my @runtimes;
for my $class (qw(Bench::Containerd Bench::Cricketd)) {
    next if $class->name eq $o{without} || $mode eq 'profile' && $class->name eq 'containerd';
    my $r = $class->new($bench, oci => $o{oci}, disk => Bench::Disk->new("$bench->{dir}/disk-" . $class->name, 8));
    $r->start;
    $r->pull($Cricket::BUSYBOX, "$Cricket::REGISTRY/bench/pause:1");
    push @runtimes, $r;
}
if ($mode eq 'profile') {
    require Bench::Profile;
    Bench::Profile::run_profile($bench, $runtimes[0], $results, \%o);
    exit 0;
}

my $report = Bench::Report->new(mode => $mode, oci => $o{oci}, runtimes => [map { {name => $_->name, version => $_->version} } @runtimes]);
my $number = 0;
for my $step (Bench::Plan::steps($mode, %o)) {
    # A B, B A, A B, ...: neither is always the first
    my @order = ++$number % 2 ? @runtimes : reverse @runtimes;
    @order = $runtimes[0] if $step->{floor};
    for my $r (@order) {
        my $json = "$results/$mode-$step->{name}-" . ($step->{floor} ? 'floor' : $r->name) . "-$step->{run}.json";
        printf STDERR "%s, run %d: %s\n", $step->{name}, $step->{run}, $step->{floor} ? 'floors' : $r->name;
        unlink $json;
        settle();
        my ($rc, $text) = cribench($r, $step, $json);
        print STDERR $text if $ENV{BENCH_VERBOSE} || !-s $json;
        print STDERR $r->log_tail if !-s $json;
        $report->add($step->{floor} ? 'floor' : $r->name, $json, $step->{name}, $text);
        $r->{pid} = $report->daemon_pid($json) // $r->{pid};
    }
}
$report->print;
$report->compare_with_last("$results/$mode-last.json");
$report->write_svg("$Cricket::BUILD/cribench", "$results/$mode.svg");
$report->write_document("$FindBin::Bin/../docs/performance.md", 'make bench' . ($o{oci} eq 'crun' ? '' : " BENCH_FLAGS='--oci $o{oci}'")) if $mode eq 'full' && !$o{only};
exit($report->failed ? 1 : 0);

# Waits until the processors have little to do, or a while at most: what the scenario before has left to the background (namespaces
# that the kernel takes apart, a runtime that tidies up) is not the next one's.
sub settle {
    my $end = time + 20;
    my ($last_busy, $last_idle) = processor_time();
    while (time < $end) {
        select undef, undef, undef, 0.5;
        my ($busy, $idle) = processor_time();
        return if $busy - $last_busy < 0.1 * ($busy + $idle - $last_busy - $last_idle);
        ($last_busy, $last_idle) = ($busy, $idle);
    }
}

# (busy, idle) of all processors since the machine started, in ticks; waiting for a disk is idle.
sub processor_time {
    my ($user, $nice, $system, $idle, $wait, @rest) = (slurp('/proc/stat') // '') =~ /^cpu +(.*)$/m ? split(/ /, $1) : (0) x 5;
    my $busy = $user + $nice + $system;
    $busy += $_ // 0 for @rest[0 .. 2];    # irq, softirq, steal
    return ($busy, $idle + $wait);
}

# One scenario on one runtime. A limit, so that a runtime that hangs shows as a failure and the rest goes on.
sub cribench {
    my ($r, $step, $json) = @_;
    my @argv = ("$Cricket::BUILD/cribench", $r->cribench_argv, '--json', $json, @{$step->{argv}});
    push @argv, '--oci-runtime', $o{oci}, '--cni-conf', "$bench->{dir}/cni/conf/10-test.conflist" if $step->{floor};
    push @argv, '--stream-client', "$FindBin::Bin/../bench/stream_client.py";
    return run('timeout', '--kill-after=5', $step->{limit}, @argv, $step->{name});
}
