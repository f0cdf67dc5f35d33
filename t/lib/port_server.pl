# A TCP server with one habit a port, for the tests of port-forward; runs where the test puts it (nsenter).
# Usage: port_server.pl FILE: written once it listens; later has how many bytes "held" got after its own end.
#
#   7001 echo    until the client's end           7005 digest  says the SHA-1 of what it got, at the client's end
#   7002 held    says hello, ends, then reads on  7006 reset   resets what connects
#   7003 deaf    reads nothing                    7007 echo    on ::1 alone
#   7004 much    100 MB of known bytes            7008 talk    writes for ever
use v5.32;
use warnings;
use Digest::SHA;
use IO::Select;
use IO::Socket::IP;
use Socket;

my ($file) = @ARGV;
$SIG{CHLD} = 'IGNORE';

# $code->(bytes) for each part until the end.
sub each_part { my ($sock, $code) = @_; while (sysread $sock, my $bytes, 1 << 16) { $code->($bytes) } }
sub say_all   { my ($sock, $bytes) = @_; while ($bytes ne '') { my $n = syswrite $sock, $bytes or return; substr $bytes, 0, $n, '' } return 1 }
sub echo      { my ($sock) = @_; each_part($sock, sub { say_all($sock, $_[0]) }) }

sub held {
    my ($sock) = @_;
    my $got = 0;
    say_all($sock, "hello\n");
    shutdown $sock, 1;
    each_part($sock, sub { $got += length $_[0] });
    open my $f, '>', $file or die;
    print $f "held $got\n";
}

sub digest {
    my ($sock) = @_;
    my $sha = Digest::SHA->new(1);
    each_part($sock, sub { $sha->add($_[0]) });
    say_all($sock, $sha->hexdigest);
}

sub much { my ($sock) = @_; my $block = join '', map { pack 'N', $_ } 1 .. 25_000; say_all($sock, $block) for 1 .. 1000 }
sub talk { my ($sock) = @_; my $block = 'x' x 65536; 1 while say_all($sock, $block) }

my %habit = (7001 => \&echo, 7002 => \&held, 7003 => sub { sleep }, 7004 => \&much, 7005 => \&digest,
             7006 => sub { setsockopt $_[0], SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 }, 7007 => \&echo, 7008 => \&talk);
my %listening = map {
    my $l = IO::Socket::IP->new(LocalHost => $_ == 7007 ? '::1' : '127.0.0.1', LocalPort => $_, Listen => 1024, ReuseAddr => 1) or die "$_: $@\n";
    ($l => $l);
} keys %habit;
open my $f, '>', $file or die "$file: $!\n";
print $f "listening\n";
close $f;

my $select = IO::Select->new(values %listening);
while (1) {
    for my $l ($select->can_read) {
        my $sock = $l->accept or next;
        my $pid = fork // die "fork: $!\n";
        next if $pid;
        close $_ for values %listening;
        $habit{$sock->sockport}->($sock);
        close $sock;
        exit 0;
    }
}
