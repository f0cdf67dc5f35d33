# A client of the streaming server: SPDY/3.1 or WebSocket to the URL of Exec, Attach or PortForward. Whichever it speaks, the
# streams have names: stdin, stdout, stderr, error, resize; of port-forward data0, error0, data1, ...
#
#   my $s = Cricket::Stream->exec($c, $id, ['cat'], stdin => 1, transport => 'websocket', protocols => ['v5.channel.k8s.io']);
#   $s->write(stdin => "hello\n");
#   $s->until('the echo', sub { $s->{got}{stdout} eq "hello\n" });
#   $s->finish('stdin');
#   my $code = $s->exit_code;     # waits for the end
#
# All sessions of a test share one loop, pump(), which until() runs. Fields to look at: got, seen (bytes of each stream), ended,
# reset, replied, goaway, close (a WebSocket's code and reason), gone (why it has ended). To set: reading (0: it never reads), hash
# (bytes are counted and digested, not kept: digest()), source (gives more for the stream that it names, or undef at its end).
package Cricket::Stream;
use v5.32;
use warnings;
use Cricket::Spdy qw(data_frame rst_frame ping_frame);
use Cricket::Wait;
use Cricket::WebSocket qw(ws_frame);
use Digest::SHA;
use Errno qw(EAGAIN EINTR);
use IO::Socket::IP;
use JSON::PP ();
use MIME::Base64;
use Scalar::Util 'refaddr';
use Socket;
use Time::HiRes 'time';

my %open;    # the sessions that pump() serves

my @COMMAND = qw(stdin stdout stderr error resize);
my %TRUE = (0 => JSON::PP::false(), 1 => JSON::PP::true());
my $CHUNK = 256 << 10;

# ---- URLs ----------------------------------------------------------------------------------------------------------------

# Which of a command's streams: stdin => 0, stdout => 1, stderr => 1 (0 with a terminal), tty => 0.
sub flags {
    my (%o) = @_;
    my %f = (stdin => 0, stdout => 1, stderr => $o{tty} ? 0 : 1, tty => 0);
    $f{$_} = $o{$_} for grep { exists $o{$_} } keys %f;
    return %f;
}

sub request_flags { my %f = flags(@_); return map { $_ => $TRUE{$f{$_}} } keys %f }

sub exec_url {
    my ($c, $id, $cmd, %o) = @_;
    return $c->call('Exec', {container_id => $id, cmd => [map { "$_" } @$cmd], request_flags(%o)})->{url};
}

sub attach_url {
    my ($c, $id, %o) = @_;
    return $c->call('Attach', {container_id => $id, request_flags(%o)})->{url};
}

sub port_url {
    my ($c, $pod, @ports) = @_;
    return $c->call('PortForward', {pod_sandbox_id => $pod, port => \@ports})->{url};
}

sub exec {
    my ($class, $c, $id, $cmd, %o) = @_;
    return $class->command(exec_url($c, $id, $cmd, %o), %o);
}

sub attach {
    my ($class, $c, $id, %o) = @_;
    return $class->command(attach_url($c, $id, %o), %o);
}

# The streams that such a request has, the error stream first, as clients open them. streams => [...] overrides.
sub command {
    my ($class, $url, %o) = @_;
    my %f = flags(%o);
    my $protocols = $o{protocols} // ['v4.channel.k8s.io'];
    my @streams = ('error', grep({ $f{$_} } qw(stdin stdout stderr)), $f{tty} && "@$protocols" !~ /^(v2\.)?channel/ ? 'resize' : ());
    my $self = $class->open($url, %o, protocols => $protocols, channels => \@COMMAND);
    return $self if !$self->{spdy};
    $self->stream($_, streamtype => $_) for @{$o{streams} // \@streams};
    return $self;
}

# transport "tunnel": SPDY in the messages of a WebSocket. Over WebSocket alone ports => [...] are named now, over SPDY later by pair().
sub port_forward {
    my ($class, $c, $pod, %o) = @_;
    my $transport = $o{transport} // 'spdy';
    my @ports = @{$o{ports} // []};
    my %protocol = (spdy => 'portforward.k8s.io', tunnel => 'SPDY/3.1+portforward.k8s.io', websocket => 'v4.channel.k8s.io');
    my $url = port_url($c, $pod, @ports) . ($transport eq 'websocket' ? '?' . join '&', map { "port=$_" } @ports : '');
    return $class->open($url, protocols => [$protocol{$transport}], channels => [map { ("data$_", "error$_") } 0 .. $#ports], %o);
}

# ---- HTTP ----------------------------------------------------------------------------------------------------------------

# A connection; with tls => {ca, cert, key} of files through openssl's client, with rcvbuf => BYTES to be a slow one.
sub connection {
    my ($url, %o) = @_;
    my ($host, $port) = $url =~ m{^https?://\[?([^/\]]+?)\]?:(\d+)/} or die "not a URL of ours: $url\n";
    if (!$o{tls}) {
        my $sock = IO::Socket::IP->new(PeerHost => $host, PeerPort => $port, Type => SOCK_STREAM,
                                       $o{rcvbuf} ? (Sockopts => [[SOL_SOCKET, SO_RCVBUF, $o{rcvbuf}]]) : ())
          or die "$url: $@\n";
        return $sock;
    }
    socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        CORE::open(STDIN,  '<&', $theirs);
        CORE::open(STDOUT, '>&', $theirs);
        CORE::open(STDERR, '>',  '/dev/null');
        my $t = $o{tls};
        CORE::exec(qw(openssl s_client -quiet -no_ign_eof -verify_return_error -connect), "$host:$port", '-CAfile', $t->{ca},
            $t->{cert} ? ('-cert', $t->{cert}, '-key', $t->{key}) : ()) or POSIX::_exit(127);
    }
    return $ours;
}

# The request's head. Options: transport, protocols, method, headers => "Name: value\r\n...".
sub head {
    my ($url, %o) = @_;
    my ($host, $path) = $url =~ m{^https?://([^/]+)(/.*)};
    my $spdy = ($o{transport} // 'spdy') eq 'spdy';
    my $h = ($o{method} // ($spdy ? 'POST' : 'GET')) . " $path HTTP/1.1\r\nHost: $host\r\nConnection: Upgrade\r\n";
    my @protocols = @{$o{protocols} // []};
    if ($spdy) {
        $h .= "Upgrade: SPDY/3.1\r\nContent-Length: 0\r\n" . join '', map { "X-Stream-Protocol-Version: $_\r\n" } @protocols;
    } else {
        $h .= "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " . encode_base64('0123456789abcdef', '') . "\r\n";
        $h .= 'Sec-WebSocket-Protocol: ' . join(', ', @protocols) . "\r\n" if @protocols;
    }
    return $h . ($o{headers} // '') . "\r\n";
}

# Reads until $enough->(text) or the end: the text.
sub read_until {
    my ($sock, $enough) = @_;
    my $text = '';
    my $end = time + 20;
    while (!$enough->($text)) {
        my $in = '';
        vec($in, fileno $sock, 1) = 1;
        my $n = select $in, undef, undef, $end - time;
        die "no answer within 20 s; so far: $text\n" if $n <= 0;
        last if !sysread $sock, $text, 65536, length $text;
    }
    return $text;
}

# Sends the text: what is answered, as {status, headers (names in lower case), body, sock}. body: what came behind the head.
sub ask {
    my ($sock, $text) = @_;
    syswrite $sock, $text;
    my $answer = read_until($sock, sub { $_[0] =~ /\r\n\r\n/ });
    my ($head, $body) = split /\r\n\r\n/, $answer, 2;
    my ($status) = ($head // '') =~ m{^HTTP/1\.1 (\d+)};
    my %headers = map { /^([^:]+): *(.*)/ ? (lc $1 => $2) : () } split /\r\n/, $head // '';
    $body .= read_until($sock, sub { length $body . $_[0] >= ($headers{'content-length'} // 1e9) }) if $status && $status != 101;
    return {status => $status // 0, headers => \%headers, body => $body // '', sock => $sock};
}

# A request that is answered and not upgraded, in most tests.
sub answer {
    my ($url, %o) = @_;
    return ask(connection($url, %o), $o{text} // head($url, %o));
}

# ---- a session -----------------------------------------------------------------------------------------------------------

sub open {
    my ($class, $url, %o) = @_;
    my $transport = $o{transport} // 'spdy';
    my $r = answer($url, %o);
    die "$url: not upgraded: $r->{status} $r->{body}\n" if $r->{status} != 101;
    my $self = bless {
        sock => $r->{sock}, out => '', sent => '', reading => 1, hash => $o{hash}, keep_sent => $o{keep_sent}, next_id => 1,
        protocol => $r->{headers}{$transport eq 'spdy' ? 'x-stream-protocol-version' : 'sec-websocket-protocol'} // '',
        (map { $_ => {} } qw(got seen ended reset replied sha ids names)),
    }, $class;
    $self->{spdy} = Cricket::Spdy->new      if $transport ne 'websocket';
    $self->{ws}   = Cricket::WebSocket->new if $transport ne 'spdy';
    $self->{reading} = $o{reading} // 1;
    $self->name($_ => $o{channels}[$_]) for $self->{spdy} ? () : 0 .. $#{$o{channels} // []};
    $self->{sock}->blocking(0);
    $open{refaddr $self} = $self;
    $self->take($r->{body});
    return $self;
}

sub name {
    my ($self, $id, $name) = @_;
    $self->{ids}{$name}  = $id;
    $self->{names}{$id}  = $name;
    $self->{got}{$name} //= '';
    return $self;
}

# Opens a stream with these headers.
sub stream {
    my ($self, $name, %headers) = @_;
    my $id = $self->{next_id};
    $self->{next_id} += 2;
    $self->name($id => $name)->put($self->{spdy}->syn_frame($id, 0, %headers));
    return $id;
}

# A pair of streams of port-forward: data$n and error$n.
sub pair {
    my ($self, $n, $port) = @_;
    $self->stream("error$n", streamtype => 'error', port => $port, requestid => $n);
    $self->stream("data$n",  streamtype => 'data',  port => $port, requestid => $n);
    return $self;
}

# Bytes of the protocol above TCP, or above WebSocket in a tunnel, as they are.
sub put {
    my ($self, $bytes) = @_;
    return $self->raw($self->{ws} && $self->{spdy} ? ws_frame(Cricket::WebSocket::BINARY, $bytes) : $bytes);
}

sub raw {
    my ($self, $bytes) = @_;
    $self->{sent} .= $bytes if $self->{keep_sent};
    $self->{out} .= $bytes;
    $self->flush;
    return $self;
}

sub write {
    my ($self, $name, $bytes) = @_;
    my $id = $self->{ids}{$name} // die "no stream $name\n";
    return $self->put(data_frame($id, $bytes)) if $self->{spdy};
    return $self->raw($self->{protocol} =~ /base64/
        ? ws_frame(Cricket::WebSocket::TEXT, chr(48 + $id) . encode_base64($bytes, ''))
        : ws_frame(Cricket::WebSocket::BINARY, chr($id) . $bytes));
}

# Half-close, which over WebSocket only v5 knows.
sub finish {
    my ($self, $name) = @_;
    my $id = $self->{ids}{$name} // die "no stream $name\n";
    return $self->put(data_frame($id, '', 1)) if $self->{spdy};
    return $self->raw(ws_frame(Cricket::WebSocket::BINARY, "\xff" . chr $id));
}

sub resize {
    my ($self, $width, $height) = @_;
    return $self->write(resize => qq({"Width":$width,"Height":$height}));
}

sub rst { my ($self, $name, $status) = @_; return $self->put(rst_frame($self->{ids}{$name}, $status // 5)) }

# ---- what comes ----------------------------------------------------------------------------------------------------------

sub take {
    my ($self, $bytes) = @_;
    return $self->take_spdy($bytes) if !$self->{ws};
    for ($self->{ws}->feed($bytes)) {
        my ($opcode, $body) = @$_;
        if ($opcode == Cricket::WebSocket::CLOSE) {
            $self->{close} = [unpack 'n a*', $body];
            $self->raw(ws_frame($opcode, $body));
        } elsif ($opcode == Cricket::WebSocket::PING) {
            $self->raw(ws_frame(Cricket::WebSocket::PONG, $body));
        } elsif ($opcode == Cricket::WebSocket::PONG) {
            $self->{pong} = $body;
        } elsif ($self->{spdy}) {
            $self->take_spdy($body);
        } else {
            $self->take_message($body);
        }
    }
}

sub take_message {
    my ($self, $body) = @_;
    my $id = ord $body;
    $body = substr $body, 1;
    ($id, $body) = ($id - 48, decode_base64($body)) if $self->{protocol} =~ /base64/;
    $self->take_data($id, $body);
}

sub take_data {
    my ($self, $id, $bytes) = @_;
    my $name = $self->{names}{$id} // "unknown$id";
    $self->{seen}{$name} += length $bytes;
    if ($self->{hash} && $name =~ /^(stdout|data)/) {
        ($self->{sha}{$name} //= Digest::SHA->new(1))->add($bytes) if $self->{hash} ne 'count';
    } else {
        $self->{got}{$name} .= $bytes;
    }
}

sub take_spdy {
    my ($self, $bytes) = @_;
    for my $f ($self->{spdy}->feed($bytes)) {
        my $name = $self->{names}{$f->{id}} // '';
        $self->take_data($f->{id}, $f->{bytes}) if !$f->{type};
        $self->{ended}{$name} = 1           if $f->{fin};
        $self->{replied}{$name} = 1         if $f->{type} == Cricket::Spdy::SYN_REPLY;
        $self->{reset}{$name} = $f->{value} if $f->{type} == Cricket::Spdy::RST_STREAM;
        $self->{goaway} = $f->{value}       if $f->{type} == Cricket::Spdy::GOAWAY;
        $self->{pong} = $f->{id}            if $f->{type} == Cricket::Spdy::PING;
    }
}

sub digest {
    my ($self, $name) = @_;
    return $self->{sha}{$name} ? $self->{sha}{$name}->clone->hexdigest : '';
}

# ---- the loop ------------------------------------------------------------------------------------------------------------

sub gone {
    my ($self, $how) = @_;
    $self->{gone} //= $how;
    delete $open{refaddr $self};
    CORE::close(delete $self->{sock}) if $self->{sock};
}

sub close { $_[0]->gone('closed by the test') }

# With a reset, as a client that crashed or a box in between does.
sub abort {
    my ($self) = @_;
    setsockopt $self->{sock}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    $self->gone('reset by the test');
}

sub flush {
    my ($self) = @_;
    while ($self->{sock}) {
        if ($self->{source} && length $self->{out} < 1 << 16) {
            my ($name, $more) = @{$self->{source}};
            my $bytes = $more->();
            delete $self->{source} if !defined $bytes;
            defined $bytes ? $self->{out} .= data_frame($self->{ids}{$name}, $bytes) : $self->finish($name);
        }
        last if $self->{out} eq '';
        local $SIG{PIPE} = 'IGNORE';
        my $n = syswrite $self->{sock}, $self->{out};
        last if !defined $n;    # full, or gone: reading tells
        substr $self->{out}, 0, $n, '';
    }
}

sub read_some {
    my ($self) = @_;
    my $n = sysread $self->{sock}, (my $bytes = ''), $CHUNK;
    return $self->take($bytes) if $n;
    return if !defined $n && ($! == EAGAIN || $! == EINTR);
    $self->gone(defined $n ? 'closed' : "$!");
}

# Serves all sessions for at most $seconds, or until something happened.
sub pump {
    my ($seconds) = @_;
    my ($in, $out) = ('', '');
    for my $s (values %open) {
        vec($in,  fileno $s->{sock}, 1) = 1 if $s->{reading};
        vec($out, fileno $s->{sock}, 1) = 1 if $s->{out} ne '' || $s->{source};
    }
    select $in, $out, undef, $seconds;
    for my $s (values %open) {
        my $fd = fileno $s->{sock};
        $s->flush     if vec $out, $fd, 1;
        $s->read_some if $s->{sock} && vec $in, $fd, 1;
    }
}

# Until the condition is true: its value. Dies after $limit seconds.
sub until {
    my ($self, $what, $condition, $limit) = @_;
    my $end = time + ($limit // 20);
    while (1) {
        my $value = $condition->();
        return $value if $value;
        die "waited for $what in vain for " . ($limit // 20) . " s; it has " . $self->summary . "\n" if time > $end;
        pump(0.02);
    }
}

sub summary {
    my ($self) = @_;
    return join ', ', ($self->{gone} ? "ended ($self->{gone})" : 'not ended'),
      map { "$_: $self->{seen}{$_} bytes \"" . substr($self->{got}{$_}, -60) . '"' } grep { defined } (sort keys %{$self->{seen}})[0 .. 5];
}

# Waits for text on a stream.
sub see {
    my ($self, $name, $pattern, $limit) = @_;
    $self->until("$name to match $pattern", sub { $self->{got}{$name} =~ $pattern }, $limit);
    return $self;
}

sub wait_gone {
    my ($self, $limit) = @_;
    $self->until('the end of the session', sub { $self->{gone} }, $limit);
    return $self;
}

# The end, as the error stream has it: the exit code; or the text of another failure.
sub exit_code {
    my ($self, $limit) = @_;
    my $text = $self->wait_gone($limit)->{got}{error};
    return 'no status' if $text eq '' && $self->{protocol} =~ /^v[45]/;
    return $text eq '' ? 0 : $text if $self->{protocol} !~ /^v[45]/;
    my $status = eval { JSON::PP::decode_json($text) } // return "not a status: $text";
    return 0 if $status->{status} eq 'Success';
    my ($cause) = grep { ($_->{reason} // '') eq 'ExitCode' } @{$status->{details}{causes} // []};
    return $cause ? $cause->{message} + 0 : $status->{message};
}

1;
