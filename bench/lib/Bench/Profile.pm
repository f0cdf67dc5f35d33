# What a pod with a container costs, from start to removal: CPU by program and function (perf), system calls by program
# (strace), the daemon's own instructions by function (callgrind). The first two look at the scenario `start`; valgrind 3.19 does
# not know openat2(2), with which a container's root is looked into, so the instructions are those of pods alone, of `pod`.
package Bench::Profile;
use v5.32;
use warnings;
use Cricket::Wait;

my $TOP = 25;    # lines of each list

sub run_profile {
    my ($bench, $daemon, $results, $o) = @_;
    my $pods = $o->{pods} // 20;
    my @parts = (cpu($daemon, $results, $pods), calls($daemon, $results, $pods));
    $daemon->stop;
    push @parts, instructions($daemon, $results, $pods);
    my $text = join "\n", @parts, '';
    spew("$results/profile.txt", $text);
    print $text;
    say "# written: $results/profile.txt, and beside it what it is made from: perf.data, strace.log, callgrind.out";
}

# Both scenarios make the given number of pods twice, with a bridge and with the host's network, and some before: how many.
sub make_pods {
    my ($daemon, $scenario, $pods) = @_;
    my %before = (start => 1, pod => 2);
    my ($rc, $text) = run('timeout', 600, "$Cricket::BUILD/cribench", $daemon->cribench_argv, '--quick', '--count', $pods, $scenario);
    die "cribench $scenario: $text" if $rc;
    return 2 * $pods + $before{$scenario};
}

# Runs $code while a program watches the daemon; the program is ended by SIGINT.
sub watched {
    my ($argv, $code) = @_;
    my $watcher = fork // die "fork: $!\n";
    if (!$watcher) {
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec @$argv or POSIX::_exit(127);
    }
    wait_for("$argv->[0] to write its file", sub {
        die "$argv->[0] ended: is it installed, and may it watch a process here?\n" if waitpid($watcher, POSIX::WNOHANG()) > 0;
        return -e $argv->[-1];
    });
    my $n = $code->();
    kill INT => $watcher;
    waitpid $watcher, 0;
    return $n;
}

# The daemon and every child that it starts from now on; keepers and OCI runtimes are among them.
sub cpu {
    my ($daemon, $results, $pods) = @_;
    my $file = "$results/perf.data";
    unlink $file;
    my $n = watched(['perf', 'record', '-q', '-e', 'cpu-clock', '-F', '4999', '-p', $daemon->{pid}, '-o', $file], sub { make_pods($daemon, 'start', $pods) });
    my @lines = ("# CPU of $n pods with a container, started and removed; by program, then by function (perf, cpu-clock)");
    for my $sort ('comm', 'comm,dso,sym') {
        my ($rc, $text) = run('perf', 'report', '-i', $file, '--stdio', '-q', '--sort', $sort);
        my @report = grep { /\S/ && !/^#/ } split /\n/, $text;
        splice @report, $TOP if @report > $TOP;
        push @lines, (map { s/\s+$//r } @report), '';
    }
    return @lines;
}

# Counts from a whole log: strace -c knows no programs. A process has its parent's name until it runs another program.
sub calls {
    my ($daemon, $results, $pods) = @_;
    my $file = "$results/strace.log";
    unlink $file;
    my $n = watched(['strace', '-f', '-qq', '-s', '64', '-p', $daemon->{pid}, '-o', $file], sub { make_pods($daemon, 'start', $pods) });
    my (%name, %calls, %of, $total, @cloning);
    open my $log, '<', $file or die "$file: $!\n";
    while (<$log>) {
        if (/^(\d+)\s+<\.\.\. (?:clone3?|v?fork) resumed>.* = (\d+)$/) {
            $name{$2} //= $name{$1};    # it may have begun already
            @cloning = grep { $_ != $1 } @cloning;
        }
        my ($pid, $call, $rest) = /^(\d+)\s+(\w+)\((.*)/ or next;    # other "resumed" lines are no calls
        $name{$pid} //= @cloning ? $name{$cloning[-1]} : 'cricketd';
        $name{$pid} = $1 if $call =~ /^execve(at)?$/ && $rest =~ m{^(?:\d+, )?"[^"]*?([^/"]+)"};
        $calls{$name{$pid}}{$call}++, $of{$name{$pid}}++, $total++;
        next if $call !~ /^(clone3?|v?fork)$/;
        $name{$1} //= $name{$pid} if $rest =~ / = (\d+)$/;
        push @cloning, $pid if $rest =~ /unfinished/;
    }
    my @lines = (sprintf('# system calls of a pod with a container, started and removed: %.0f; by program, then by call (strace)', $total / $n));
    push @lines, sprintf '%8.1f  %s', $of{$_} / $n, $_ for grep { $of{$_} / $n >= 0.1 } sort { $of{$b} <=> $of{$a} } keys %of;
    my @all = map { my $p = $_; map { [$p, $_, $calls{$p}{$_}] } keys %{$calls{$p}} } keys %calls;
    @all = sort { $b->[2] <=> $a->[2] } @all;
    splice @all, $TOP if @all > $TOP;
    return @lines, '', (map { sprintf '%8.1f  %s %s', $_->[2] / $n, @$_[0, 1] } @all), '';
}

# Only the daemon runs under valgrind; counting begins when it has started.
sub instructions {
    my ($daemon, $results, $pods) = @_;
    my $file = "$results/callgrind.out";
    unlink glob "$file*";
    $daemon->{prefix} = ['valgrind', '--quiet', '--tool=callgrind', '--trace-children=no', "--callgrind-out-file=$file"];
    $daemon->start;
    my ($rc, $text) = run('callgrind_control', '-z', $daemon->{pid});
    die "callgrind_control -z: $text" if $rc;
    my $n = make_pods($daemon, 'pod', $pods);
    $daemon->stop;
    ($rc, $text) = run('callgrind_annotate', '--threshold=100', '--auto=no', $file);
    my ($total) = $text =~ /^\s*([\d,]+).*PROGRAM TOTALS/m;
    die "callgrind_annotate: $text" if $rc || !$total;
    $total =~ s/,//g;
    my @functions;    # but those that were running when the count began: to them callgrind gives all that they call
    for (split /\n/, $text) {
        my ($count, $share, $function, $library) = m{^\s*([\d,]+) \(\s*([\d.]+%)\)\s+(.*?)(?:\s+\[.*?([^/]+)\])?$} or next;
        $count =~ s/,//g;
        push @functions, [$count, $share, ($function =~ s/^\?\?\?://r) . ' ' . ($library // '')] if $count < $total / 2;
    }
    splice @functions, $TOP if @functions > $TOP;
    return (sprintf('# instructions of the daemon itself for a pod without containers, made and removed: %.0f; by function (callgrind)', $total / $n),
            map { sprintf '%10.0f  %6s  %s', $_->[0] / $n, $_->[1], $_->[2] } @functions);
}

1;
