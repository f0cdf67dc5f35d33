#!/usr/bin/perl
# What cricket costs in memory: PSS and anonymous memory of the daemon and of its keepers at idle, after a pull, with 1, 10
# and 50 pods of one sleeping container each, and after they are gone. Prints a Markdown table. Run it by `make bench-memory`.
use FindBin; BEGIN { $FindBin::Bin .= '/../t' } use lib "$FindBin::Bin/lib"; use Cricket;
use Time::HiRes qw(time);

my $c = Cricket->new(registry => 1, config => {log_level => 'info'});
$c->start;

sub rollup {    # KiB: (PSS, anonymous)
    my ($pid) = @_;
    my $text = slurp("/proc/$pid/smaps_rollup") // '';
    return map { $text =~ /^$_:\s+(\d+)/m ? $1 : 0 } qw(Pss Anonymous);
}

# As after some quiet: the daemon trims itself 5 s after its last work.
sub quiet {
    my $until = time + 7;
    select undef, undef, undef, 0.5 while time < $until;
}

sub kernel_memory {    # KiB of slab and page tables, of the whole machine
    my $text = slurp('/proc/meminfo');
    my $sum = 0;
    $sum += $1 while $text =~ /^(?:Slab|PageTables|KernelStack|Percpu):\s+(\d+)/mg;
    return $sum;
}

my $kernel = kernel_memory();
my @rows;
my %seen;    # most pods so far, for kernel memory a pod

sub row {
    my ($what, $pods) = @_;
    quiet();
    my ($pss, $anonymous) = rollup($c->{daemon_pid});
    my ($sum, $n, $anon_sum) = (0, 0, 0);
    for my $file (glob '/proc/[0-9]*/comm') {
        next if (slurp($file) // '') !~ /^cricket-keeper/;
        my ($p, $a) = rollup($file =~ /(\d+)/);
        $sum += $p, $anon_sum += $a, $n++;
    }
    my $kernel_a_pod = $pods ? sprintf('%d', (kernel_memory() - $kernel) / $pods) : '-';
    push @rows, sprintf '| %s | %d | %d | %s | %s | %s |', $what, $pss, $anonymous,
        $n ? sprintf('%.0f', $sum / $n) : '-', $n ? sprintf('%.0f', $anon_sum / $n) : '-', $kernel_a_pod;
}

my @pods;

sub pods_up_to {
    my ($n) = @_;
    while (@pods < $n) {
        my $pod = $c->pod_config;
        my $id = $c->run_pod($pod);
        $c->run_container($id, $pod, $c->container_config('exec sleep 100000'));
        push @pods, $id;
    }
}

row('idle, just started', 0);
$c->pull;
row('after a pull', 0);
$kernel = kernel_memory();
for my $n (1, 10, 50) {
    pods_up_to($n);
    row("$n " . ($n == 1 ? 'pod' : 'pods'), $n);
}
$c->remove_pod($_) for @pods;
row('after they are gone', 0);

diag join "\n", '', '| when | daemon PSS, KiB | daemon anonymous, KiB | a keeper\'s PSS, KiB | its anonymous, KiB | kernel (slab, stacks, page tables) a pod, KiB |',
    '|---|---|---|---|---|---|', @rows, '';
$c->stop;
done_testing;
