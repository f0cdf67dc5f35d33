# Which scenarios run, how often, and for how long at most.
package Bench::Plan;
use v5.32;
use warnings;

# Runs of each scenario; 0: only when --only names it. What takes minutes or counts leaks runs once; latencies vary and run most.
my %RUNS = (
    full  => [[floor => 3], [pod => 3], [container => 3], [start => 3], [exec => 2], [rpc => 2], [density => 2], [pull => 2], [restart => 2], [stream => 1], [churn => 1], [soak => 0]],
    quick => [[floor => 1], [pod => 1], [container => 1], [start => 1], [exec => 1], [rpc => 1], [density => 1], [restart => 1], [soak => 0]],
);

# Options: runs => N in the place of the most, only => 'pod,exec', pods => N (of churn), seconds => N
# (of exec, density, soak). Steps are in the order in which they run: all of
# the first run, then those of the second, so that a disturbance of the machine meets several scenarios rather than all runs of one.
sub steps {
    my ($mode, %o) = @_;
    my %only = map { $_ => 1 } split /,/, $o{only};
    my @steps;
    for my $run (1 .. $o{runs} // 9) {
        for (@{$RUNS{$mode}}) {
            my ($name, $runs) = @$_;
            next if %only ? !$only{$name} : !$runs;
            next if $run > ($o{runs} // ($runs || 1));
            my @argv = $mode eq 'quick' ? '--quick' : ();
            push @argv, '--count', $o{pods} if $o{pods} && $name eq 'churn';
            push @argv, '--seconds', $o{seconds} if $o{seconds};
            push @steps, {name => $name, run => $run, argv => \@argv, floor => $name eq 'floor', limit => ($mode eq 'quick' ? 120 : 600) + ($o{seconds} // 0)};
        }
    }
    return @steps;
}

1;
