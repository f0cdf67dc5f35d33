# The client's half of the frames of a WebSocket (RFC 6455 section 5), for the tests.
package Cricket::WebSocket;
use v5.32;
use warnings;
use Exporter 'import';
our @EXPORT_OK = qw(ws_frame);

use constant {CONTINUATION => 0, TEXT => 1, BINARY => 2, CLOSE => 8, PING => 9, PONG => 10};

sub new { return bless {in => '', message => ''}, $_[0] }

# One masked frame. Options: fin => 0 for a part of a message, mask => 4 bytes, plain => 1 for none (a fault).
sub ws_frame {
    my ($opcode, $bytes, %o) = @_;
    my $n = length $bytes;
    my $masked = $o{plain} ? 0 : 0x80;
    my $head = pack 'C', (($o{fin} // 1) ? 0x80 : 0) | $opcode;
    $head .= $n < 126 ? pack('C', $masked | $n) : $n < 65536 ? pack('Cn', $masked | 126, $n) : pack('CQ>', $masked | 127, $n);
    return $head . $bytes if $o{plain};
    my $mask = $o{mask} // pack 'N', int rand 2**32;
    return $head . $mask . ($bytes ^. substr $mask x (($n + 3) / 4), 0, $n);
}

# The whole messages and control frames that are there by now, as [opcode, bytes].
sub feed {
    my ($self, $bytes) = @_;
    my @messages;
    $self->{in} .= $bytes;
    while (length $self->{in} >= 2) {
        my ($first, $n) = unpack 'CC', $self->{in};
        my $head = $n == 127 ? 10 : $n == 126 ? 4 : 2;
        last if length $self->{in} < $head;
        $n = unpack $n == 127 ? 'x2 Q>' : 'x2 n', $self->{in} if $n > 125;
        last if length $self->{in} < $head + $n;
        my $body = substr substr($self->{in}, 0, $head + $n, ''), $head;
        my $opcode = $first & 15;
        if ($opcode >= CLOSE) {
            push @messages, [$opcode, $body];
            next;
        }
        $self->{opcode} = $opcode if $opcode;
        $self->{message} .= $body;
        next if !($first & 0x80);
        push @messages, [$self->{opcode}, $self->{message}];
        $self->{message} = '';
    }
    return @messages;
}

1;
