# A runtime under measurement: its own cgroup, disk, directories and socket, and how cribench is told of them. What differs by
# runtime is in Bench::Containerd and Bench::Cricketd.
package Bench::Runtime;
use v5.32;
use warnings;
use Cricket::Wait;
use File::Path qw(make_path);

# $bench: the Cricket environment (directory, CNI configuration, registry). Options: oci => 'crun', disk => Bench::Disk.
sub new {
    my ($class, $bench, %o) = @_;
    my $self = bless {bench => $bench, oci => 'crun', %o}, $class;
    $self->{dir} = "$bench->{dir}/" . $self->name;
    $self->{root} = ($self->{disk} ? $self->{disk}->dir : $self->{dir}) . '/root';
    @$self{qw(socket log)} = map { "$self->{dir}/$_" } 's.sock', 'log';
    $self->{state} = "$bench->{dir}/run/" . $self->name;
    $self->{cgroup} = "/$bench->{cgroup}/" . $self->name;
    make_path($self->{dir}, $self->{root}, $self->{state});
    make_path(map { "$_$self->{cgroup}/daemon" } cgroup_trees());
    $self->write_config;
    return $self;
}

# Where a process is put so that its CPU, and that of whatever it starts, counts as the runtime's.
sub cgroup_trees {
    return '/sys/fs/cgroup' if -e '/sys/fs/cgroup/cgroup.controllers';
    return grep { -d } '/sys/fs/cgroup/cpuacct';
}

# Shell words that put the shell into the daemon's cgroup. No part of a start: on cgroup v1 it waits for a grace period of RCU.
sub start_before {
    my ($self) = @_;
    return join "\n", map { "echo \$\$ > $_$self->{cgroup}/daemon/cgroup.procs" } cgroup_trees();
}

# Shell words that become the daemon.
sub start_command {
    my ($self) = @_;
    return 'exec ' . join(' ', $self->argv) . " >> $self->{log} 2>&1 < /dev/null";
}

sub start {
    my ($self) = @_;
    $self->{pid} = fork // die "fork: $!\n";
    if (!$self->{pid}) {
        POSIX::setsid();
        exec '/bin/sh', '-ec', $self->start_before . "\n" . $self->start_command or POSIX::_exit(127);
    }
    wait_for($self->name . ' to answer', sub {
        die $self->name . " ended:\n" . (slurp($self->{log}) // '') if waitpid($self->{pid}, POSIX::WNOHANG()) > 0;
        return -S $self->{socket} && $self->answers;
    });
}

sub stop {
    my ($self) = @_;
    kill TERM => $self->{pid};
    wait_for($self->name . ' to end', sub { waitpid($self->{pid}, POSIX::WNOHANG()) != 0 });
}

sub answers {
    my ($self) = @_;
    return (run("$Cricket::BUILD/cricket", '--endpoint', "unix://$self->{socket}", 'version'))[0] == 0;
}

sub pull {
    my ($self, @images) = @_;
    for (@images) {
        my ($rc, $text) = run("$Cricket::BUILD/cricket", '--endpoint', "unix://$self->{socket}", 'pull', $_);
        die $self->name . ": pull $_: $text" if $rc;
    }
}

sub cribench_argv {
    my ($self) = @_;
    return ('--endpoint', "unix://$self->{socket}", '--runtime-pids', $self->{pid}, '--cgroup', $self->{cgroup},
            '--cgroup-parent', "$self->{cgroup}/pods", '--handler', $self->{oci}, '--root', $self->{root}, '--state', $self->{state},
            '--work', "$self->{bench}{dir}/work", '--image', $Cricket::BUSYBOX, '--registry', "$Cricket::REGISTRY/bench",
            '--start-before', $self->start_before, '--start-command', $self->start_command, '--rows-command', $self->rows_command);
}

# The last lines of the log, for a failure's message.
sub log_tail {
    my ($self) = @_;
    my @lines = split /\n/, slurp($self->{log}) // '';
    return join '', map { "  $_\n" } @lines > 15 ? @lines[-15 .. -1] : @lines;
}

1;
