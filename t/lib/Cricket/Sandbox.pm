# Runs a test file in namespaces of its own: mounts, network and processes. What a test leaves behind can be counted there
# without looking at anybody else's, and whatever it is, it ends with the test.
#
#   prove -> unshare -> perl as PID 1, which reaps -> perl again: the test
package Cricket::Sandbox;
use v5.32;
use warnings;
use POSIX ();

my $STAGE = $ENV{CRICKET_SANDBOX} // '';
my $inside;

# True in a test, whose process numbers are its own: it may kill all of them.
sub inside { return $inside }

sub enter {
    reexec() if $STAGE eq '';
    be_init() if $STAGE eq 'init';
    $ENV{CRICKET_SANDBOX} = '';    # for what the test itself runs
}

sub reexec {
    if ($> != 0) {
        say "Bail out!  the behaviour tests need root: they make mounts and namespaces";
        exit 255;
    }
    $ENV{CRICKET_SANDBOX} = 'init';
    exec 'unshare', qw(--mount --net --pid --fork --kill-child --mount-proc --propagation private --),
      $^X, (map { "-I$_" } grep { !ref } @INC), $0, @ARGV
      or die "unshare: $!\n";
}

sub be_init {
    my $test = fork // die "fork: $!\n";
    if ($test) {
        my $status = 0;
        while ((my $pid = waitpid -1, 0) > 0) {
            next if $pid != $test;
            $status = $?;
            last;
        }
        POSIX::_exit($status & 127 ? 128 + ($status & 127) : $status >> 8);
    }
    system('ip', 'link', 'set', 'lo', 'up') == 0 or die "no loopback\n";
    hide_v2_controllers();
    $inside = 1;
}

# crun refuses hybrid cgroup hosts that have a controller on the v2 hierarchy; real nodes are not hybrid.
sub hide_v2_controllers {
    my $file = '/sys/fs/cgroup/unified/cgroup.controllers';
    return if !-e $file;
    system('mount', '--bind', '/dev/null', $file) == 0 or die "cannot hide $file\n";
}

1;
