# Waiting for a condition, with a limit: the only way in which a test waits.
package Cricket::Wait;
use v5.32;
use warnings;
use Exporter 'import';
use Time::HiRes qw(sleep time);
our @EXPORT = qw(wait_for slurp spew run);

# Calls $condition until it is true and returns its value; dies with $what after $limit seconds.
sub wait_for {
    my ($what, $condition, $limit) = @_;
    my $end = time + ($limit // 20);
    while (1) {
        my $value = $condition->();
        return $value if $value;
        die "waited for $what in vain for " . ($limit // 20) . " s\n" if time > $end;
        sleep 0.01;
    }
}

sub slurp {
    my ($path) = @_;
    open my $f, '<', $path or return;
    local $/;
    return scalar <$f>;
}

sub spew {
    my ($path, $text, $mode) = @_;
    open my $f, '>', $path or die "$path: $!\n";
    print $f $text;
    close $f or die "$path: $!\n";
    chmod $mode, $path if defined $mode;
}

# Runs a program without a shell: (exit status, stdout and stderr together).
sub run {
    my @argv = @_;
    my $pid = open my $out, '-|' // die;
    if (!$pid) {
        open STDIN,  '<',  '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec @argv or do { print "$argv[0]: $!\n"; POSIX::_exit(127) };
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    return ($? & 127 ? 128 + ($? & 127) : $? >> 8, $text);
}

use POSIX ();
1;
