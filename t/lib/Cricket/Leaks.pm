# What the system holds on cricket's behalf, as sorted lists of lines that can be compared before and after.
package Cricket::Leaks;
use v5.32;
use warnings;
use Cricket::Wait;

# Each part: a name and a function of the test's environment (Cricket.pm's $self) that returns lines.
my @PARTS = (
    [process    => \&processes],
    [mount      => \&mounts],
    [namespace  => \&namespaces],
    [cgroup     => \&cgroups],
    [link       => sub { map { /^\d+: ([^:@]+)/ ? $1 : () } split /\n/, (run(qw(ip -o link)))[1] }],
    [iptables   => \&iptables],
    [descriptor => \&descriptors],
    [file       => \&files],
    [row        => \&rows],
);

sub take {
    my ($env) = @_;
    my %now;
    $now{$_->[0]} = [sort $_->[1]->($env)] for @PARTS;
    return \%now;
}

# Lines "+ process 12 crun ..." for what came and "- ..." for what went; empty when nothing did. A descriptor that went is
# an idle connection that was closed.
sub difference {
    my ($before, $after) = @_;
    my @lines;
    for my $part (map { $_->[0] } @PARTS) {
        my %count;
        $count{$_}++ for @{$after->{$part}};
        $count{$_}-- for @{$before->{$part}};
        delete @count{grep { $count{$_} < 0 } keys %count} if $part eq 'descriptor';
        push @lines, map { ($count{$_} > 0 ? '+' : '-') . " $part $_" } grep { $count{$_} } sort keys %count;
    }
    return @lines;
}

# Every process of the namespace, but the test's own helpers and what they started. The daemon counts by name, so that a
# restart is no difference. A cricket-enter that is the daemon's own waits in a container for its next command, on hosts with
# cgroup v1, until a minute without one: it comes and goes by the clock (t/45 sees to it that it goes with its container).
sub processes {
    my ($env) = @_;
    my %own = map { $_ => 1 } 1, $$, @{$env->{helpers}};
    my @lines;
    for my $dir (glob '/proc/[0-9]*') {
        my ($pid) = $dir =~ /(\d+)$/;
        my $command = slurp("$dir/cmdline") // next;
        my ($ppid, $state) = reverse((slurp("$dir/stat") // next) =~ /^.*\) (\S) (\d+)/);
        next if $own{$pid} || $own{$ppid} && $ppid != 1 || $pid == $$;
        my $name = $command eq '' ? "[state $state]" : join ' ', split /\0/, $command;
        next if $name eq 'cricket-enter' && $ppid == ($env->{daemon_pid} // 0);
        push @lines, $pid == ($env->{daemon_pid} // 0) ? 'cricketd' : "$pid $name";
    }
    return @lines;
}

sub mounts {
    my ($env) = @_;
    return map { (split)[4] } grep { /\Q$env->{dir}\E/ } split /\n/, slurp('/proc/self/mountinfo');
}

# Namespaces that a process is in or that a file pins. Pins of other programs on the machine, which this mount namespace was
# born with, do not count: they go when their owners remove them.
my %born_with = map { $_ => 1 } nsfs_mounts();

sub nsfs_mounts { return grep { / nsfs / } split /\n/, slurp('/proc/self/mountinfo') }

sub namespaces {
    my %seen;
    $seen{$_}++ for grep { defined } map { readlink } glob '/proc/[0-9]*/ns/{net,ipc,uts,mnt,user}';
    delete $seen{readlink "/proc/$$/ns/$_"} for qw(net ipc uts mnt user);
    return (keys %seen, map { 'pinned ' . (split)[3] } grep { !$born_with{$_} } nsfs_mounts());
}

# The tests put their pods below /cricket-test-PID (outer PID: unique on the machine).
sub cgroups {
    my ($env) = @_;
    my @found;
    for my $tree (-e '/sys/fs/cgroup/cgroup.controllers' ? '/sys/fs/cgroup' : glob '/sys/fs/cgroup/*') {
        my $top = "$tree/$env->{cgroup}";
        next if !-d $top;
        push @found, grep { -d } below($top);
    }
    return @found;
}

sub iptables {
    return map { s/\[\d+:\d+\]//r } grep { !/^#/ } map { split /\n/, (run("$_-save"))[1] } qw(iptables ip6tables);
}

# By kind, since numbers and inodes differ. TCP connections are not counted: those to registries stay open for a while.
sub descriptors {
    my ($env) = @_;
    my $pid = $env->{daemon_pid} or return;
    my %tcp = map { $_ => 1 } tcp_inodes($pid);
    my @links = grep { defined && !$tcp{$_} } map { readlink } glob "/proc/$pid/fd/*";
    return map { s/:\[\d+\]//r =~ s/ \(deleted\)$//r } @links;
}

# The daemon's TCP connections, as readlink shows them: "socket:[123]".
sub tcp_connections {
    my ($env) = @_;
    my %tcp = map { $_ => 1 } tcp_inodes($env->{daemon_pid});
    return grep { defined && $tcp{$_} } map { readlink } glob "/proc/$env->{daemon_pid}/fd/*";
}

sub tcp_inodes {
    my ($pid) = @_;
    my @lines = map { split /\n/, slurp("/proc/$pid/net/$_") // '' } qw(tcp tcp6);
    return map { my @f = split; @f > 9 && $f[9] =~ /^\d+$/ && $f[3] ne '0A' ? "socket:[$f[9]]" : () } @lines;
}

# Files below the daemon's directories, without the database's own.
sub files {
    my ($env) = @_;
    return grep { !/\.db(-wal|-shm)?$/ } below(@$env{qw(root state cni_data)});
}

# Every path below the directories; what goes away meanwhile is passed over.
sub below {
    my @dirs = @_;
    my @found;
    while (defined(my $dir = shift @dirs)) {
        opendir my $d, $dir or next;
        my @paths = map { "$dir/$_" } grep { !/^\.\.?$/ } readdir $d;
        push @found, @paths;
        push @dirs,  grep { -d && !-l } @paths;
    }
    return @found;
}

sub rows {
    my ($env) = @_;
    my @lines;
    for my $db (glob "$env->{root}/*.db") {
        my ($rc, $rows) = run('sqlite3', '-readonly', $db, 'select kind, id from objects');
        push @lines, split /\n/, $rows if $rc == 0;
    }
    return @lines;
}

1;
