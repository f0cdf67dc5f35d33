# Clients of the streaming server that break its rules, stall, or vanish at any byte: nothing leaks, nobody else notices.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;
use Cricket::Spdy qw(control data_frame rst_frame ping_frame goaway_frame window_frame settings_frame);
use Cricket::Stream;
use Cricket::WebSocket qw(ws_frame);
use Socket;
use Time::HiRes 'time';

my $SEED = 46;
srand $SEED;
my $c = Cricket->new(registry => 1);
$c->{config} = {log_level => 'info', streaming => {creation_timeout_s => 2, idle_timeout_s => 3}};
run('prlimit', '--pid', $$, '--nofile=8192:8192');
$c->start;
$c->pull;
my $pod_config = $c->pod_config(name => 'main');
my $pod = $c->run_pod($pod_config);
my $id = $c->run_container($pod, $pod_config, $c->container_config('nc -ll -p 7100 -e cat'));
my ($BINARY, $TEXT, $CLOSE, $PING) = (2, 1, 8, 9);

sub forward { return Cricket::Stream->port_forward($c, $pod, @_) }
sub session { return Cricket::Stream->exec($c, $id, ['cat'], stdin => 1, @_) }
sub anonymous { return (slurp("/proc/$c->{daemon_pid}/smaps_rollup") =~ /^Anonymous: +(\d+)/m)[0] }

# The daemon serves an honest client, of each kind.
sub serves {
    my $began = time;
    for my $transport (qw(spdy websocket)) {
        my $s = session(transport => $transport, protocols => ['v5.channel.k8s.io']);
        my $p = forward(transport => $transport, ports => $transport eq 'spdy' ? [] : [7100]);
        $p->pair(0, 7100) if $transport eq 'spdy';
        $_->[0]->write($_->[1] => 'honest') for [$s, 'stdin'], [$p, 'data0'];
        $s->see(stdout => qr/honest$/)->finish('stdin');
        return 0 if $s->exit_code ne '0';
        $p->see(data0 => qr/honest$/)->close;
    }
    return time - $began < 5;
}
wait_for('the pod\'s server', sub { my $p = forward()->pair(0, 7100); $p->write(data0 => 'x'); $p->until('it', sub { $p->{got}{data0} || $p->{got}{error0} }); $p->close; $p->{got}{data0} });
ok serves(), 'honest clients are served';

# ---- slow ones: looked at in the end ---------------------------------------------------------------------------------------------
my ($port) = Cricket::Stream::port_url($c, $pod) =~ /:(\d+)/;
sub connected { return IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port, Type => SOCK_STREAM) }
my $slow_since = time;
my @slow = map { my $sock = connected(); syswrite $sock, substr "GET /exec/x HTTP/1.1\r\nHost: y\r\nConnection: Up", 0, $_; $sock } 0 .. 40;
my $drip = connected();
my $dripped = 0;

# ---- rules that are broken -------------------------------------------------------------------------------------------------------
# Sends bytes on a new session of each kind and looks at what comes: GOAWAY, a reset, a Close code, an end, or nothing at all.
sub outcome {
    my ($s) = @_;
    return $s->{close} ? "close $s->{close}[0]" : defined $s->{goaway} && $s->{goaway} ? "goaway $s->{goaway}" : $s->{gone} ? 'gone' : %{$s->{reset}} ? 'reset' : '';
}

sub breaks {
    my ($what, $want, $s, $bytes) = @_;
    $s->raw($bytes);
    my $got = eval { $s->until($want, sub { outcome($s) =~ $want && outcome($s) }, 8) } // 'nothing: ' . $s->summary;
    like $got, $want, $what;
    $s->close;
}

my $spdy = sub { return session() };
my $ports = sub { return forward() };
my ($GOAWAY, $RESET, $NOTHING) = (qr/^goaway [12]/, qr/^reset/, qr/^$/);
for my $row (
    # what, outcome, session, bytes for it
    ['a stream id that is even',           $GOAWAY, $ports, sub { $_[0]{spdy}->syn_frame(2, 0, streamtype => 'data', port => 1) }],
    ['a stream id of 0',                   $GOAWAY, $ports, sub { $_[0]{spdy}->syn_frame(0, 0, streamtype => 'data', port => 1) }],
    ['a stream id that goes down',         $GOAWAY, $ports, sub { join '', map { $_[0]{spdy}->syn_frame($_, 0, streamtype => 'data', port => 7100, requestid => $_) } 9, 7 }],
    ['a stream id twice',                  qr/^(goaway|reset)/, $ports, sub { join '', map { $_[0]{spdy}->syn_frame(9, 0, streamtype => 'data', port => 7100, requestid => 1) } 1, 2 }],
    ['data on a stream that is not there', $RESET,  $ports, sub { $_[0]->name(99, 'none'); data_frame(99, 'x') }],
    ['another version of SPDY',            $GOAWAY, $ports, sub { pack('nnN', 0x8002, 1, 10) . "\0" x 10 }],
    ['a frame of an unknown type',         $NOTHING, $ports, sub { control(77, 0, 'x' x 100) . ping_frame(1) }],
    ['a header block that is no deflate',  $GOAWAY, $ports, sub { control(1, 0, pack('NNn', 1, 0, 0) . 'garbage' x 10) }],
    ['a header bomb',                      $GOAWAY, $ports, sub { control(1, 0, pack('NNn', 1, 0, 0) . $_[0]{spdy}->deflate(pack('NN/a*N', 1, 'port', 1 << 24) . "\0" x (1 << 24))) }],
    ['a million headers',                  $GOAWAY, $ports, sub { control(1, 0, pack('NNn', 1, 0, 0) . $_[0]{spdy}->deflate(pack('N', 1_000_000) . pack('NaNa', 1, 'a', 1, 'b') x 100_000)) }],
    ['a header longer than its block',     $GOAWAY, $ports, sub { control(1, 0, pack('NNn', 1, 0, 0) . $_[0]{spdy}->deflate(pack 'NN', 1, 1 << 30)) }],
    ['a block of 16 MiB',                  $GOAWAY, $ports, sub { pack('nnN', 0x8003, 1, 0xffffff) . 'x' x 100_000 }],
    ['settings without an end',            $GOAWAY, $ports, sub { control(4, 0, pack 'N', 1 << 30) }],
    ['windows that overflow',              $NOTHING, $ports, sub { window_frame(0, 0x7fffffff) x 2 . ping_frame(1) }],
    ['a reset that is too short',          $GOAWAY, $ports, sub { control(3, 0, 'xx') }],
    ['data after the end of stdin',        qr/^(reset|gone)/, $spdy, sub { data_frame($_[0]{ids}{stdin}, 'x', 1) . data_frame($_[0]{ids}{stdin}, 'y') }],
    ['a stream that nobody asked for',     $RESET,  $spdy, sub { $_[0]->name(99, 'more'); $_[0]{spdy}->syn_frame(99, 0, streamtype => 'more') }],
    ['HTTP again',                         qr/^(goaway|gone)/, $ports, sub { "GET / HTTP/1.1\r\nHost: x\r\n\r\n" }],
    ['half a frame, then silence',         qr/^(goaway|gone)/, $ports, sub { substr $_[0]{spdy}->syn_frame(1, 0, port => 1), 0, 15 }],
    ['half a frame in a command',          qr/^gone/, $spdy, sub { substr data_frame($_[0]{ids}{stdin}, 'hello'), 0, 10 }],
  ) {
    my ($what, $want, $open, $bytes) = @$row;
    my $s = $open->();
    if ($want == $NOTHING) {
        $s->raw($bytes->($s))->until('the answer to the ping', sub { $s->{pong} });
        pass "$what: no harm";
        $s->close;
    } else {
        breaks($what, $want, $s, $bytes->($s));
    }
}
my $v5 = sub { return session(transport => 'websocket', protocols => ['v5.channel.k8s.io']) };
my $base64 = sub { return session(transport => 'websocket', protocols => ['v4.base64.channel.k8s.io']) };
my $tunnel = sub { return forward(transport => 'tunnel') };
for my $row (
    ['a frame without a mask',            1002, $v5,     ws_frame($BINARY, "\0x", plain => 1)],
    ['reserved bits',                     1002, $v5,     "\xf2\x80aaaa"],
    ['an unknown opcode',                 1002, $v5,     ws_frame(5, 'x')],
    ['a message of 2 MiB',                1009, $v5,     ws_frame($BINARY, 'x' x (2 << 20))],
    ['a message of 2**62 bytes',          qr/1002|1009/, $v5, "\x82\xff" . pack('Q>', 1 << 62) . 'aaaa' . 'x' x 100],
    ['a fragmented ping',                 1002, $v5,     ws_frame($PING, 'x', fin => 0)],
    ['a ping that is too long',           1002, $v5,     ws_frame($PING, 'x' x 200)],
    ['a continuation of nothing',         1002, $v5,     ws_frame(0, 'x')],
    ['a message inside another',          1002, $v5,     ws_frame($BINARY, 'x', fin => 0) . ws_frame($BINARY, 'y')],
    ['text that is none',                 1007, $base64, ws_frame($TEXT, "0\xff\xfe")],
    ['base64 that is none',               qr/100[237]/, $base64, ws_frame($TEXT, '0****')],
    ['the close of a channel that is none', qr/100[23]/, $v5, ws_frame($BINARY, "\xff\x09")],
    ['a close of no channel',             qr/100[23]/, $v5, ws_frame($BINARY, "\xff")],
    ['a Close that is too short',         1002, $v5,     ws_frame($CLOSE, 'x')],
    ['data after Close',                  1000, $v5,     ws_frame($CLOSE, pack 'n', 1000) . ws_frame($BINARY, "\0more") x 100],
    ['text in a tunnel, then Close',      1000, $tunnel, ws_frame($TEXT, 'hello') . ws_frame($CLOSE, pack 'n', 1000)],
    ['garbage in a tunnel',               qr/1000|1002/, $tunnel, ws_frame($BINARY, "\xff" x 1000)],
    ['half a message, then silence',      qr/\d/, $v5, substr ws_frame($BINARY, "\0" . 'x' x 100), 0, 50],
  ) {
    my ($what, $code, $open, $bytes) = @$row;
    breaks("WebSocket: $what", qr/^close $code/, $open->(), $bytes);
}
ok serves(), 'honest clients are served after that';

# ---- too much --------------------------------------------------------------------------------------------------------------------
my $before_much = anonymous();
for my $row ([port => $ports], [command => $spdy]) {
    my ($kind, $open) = @$row;
    $c->leaks_nothing("ten thousand streams, $kind", sub {
        my $s = $open->();
        my $first = $s->{next_id};
        $s->raw(join '', map { $s->{spdy}->syn_frame($first + 2 * $_, 0, streamtype => 'data', port => 7999, requestid => $_) } 0 .. 9_999);
        $s->until('the last of it to be sent', sub { $s->{out} eq '' || $s->{gone} });
        ok serves(), "ten thousand streams of a $kind session: others are served meanwhile";
        $s->close;
    });
}
$c->leaks_nothing('pings that nobody reads the answers of', sub {
    my $s = forward(reading => 0, rcvbuf => 4096);
    $s->raw(ping_frame(1) x 100_000) for 1 .. 3;
    $s->until('it to be cut off or held back', sub { my $n = length $s->{out}; Cricket::Stream::pump(0.3); return $s->{gone} || length $s->{out} == $n });
    ok serves(), 'three hundred thousand pings: others are served';
    $s->abort;
});
$c->leaks_nothing('header bombs', sub {
    for (1 .. 50) {
        my $s = forward();
        $s->raw(control(1, 0, pack('NNn', 1, 0, 0) . $s->{spdy}->deflate(pack('N', 1) . "\0" x (1 << 20))))->until('its end', sub { outcome($s) =~ /goaway/ });
        $s->close;
    }
    pass 'fifty header bombs, one after another';
});
{
    my $grown = anonymous() - $before_much;
    note "all of that made the daemon's memory grow by $grown KiB";
    cmp_ok $grown, '<', slurp("/proc/$c->{daemon_pid}/maps") =~ /libasan/ ? 200 << 10 : 12 << 10, 'and memory stays bounded';
}

# ---- garbage ---------------------------------------------------------------------------------------------------------------------
my $variants = 0;
sub garbage { my ($n) = @_; return join '', map { chr int rand 256 } 1 .. $n }

# Connects to each URL, sends its bytes, lets the daemon look at them, and ends the connections, half of them by a reset.
sub send_all {
    my ($how, @requests) = @_;
    while (my @batch = splice @requests, 0, 60) {
        my @socks = map { my $sock = connected(); syswrite $sock, $_; $sock } @batch;
        $variants += @socks;
        $c->call('Version') for 1 .. 4;
        for (@socks) {
            setsockopt $_, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $how eq 'reset' || $how eq 'either' && rand > 0.5;
            close $_;
        }
        if (time - $slow_since < 9 && $dripped < 30) {
            syswrite $drip, substr "GET /exec/abc HTTP/1.1\r\nHost: localhost\r\n", $dripped++, 1;
        }
    }
}

# Sessions as an honest client would have them: the bytes behind the head.
my %kind = (
    exec        => {url => sub { Cricket::Stream::exec_url($c, $id, ['cat'], stdin => 1) },            head => {protocols => ['v4.channel.k8s.io']}},
    tty         => {url => sub { Cricket::Stream::exec_url($c, $id, ['cat'], stdin => 1, tty => 1) }, head => {protocols => ['v5.channel.k8s.io']}},
    'exec-ws'   => {url => sub { Cricket::Stream::exec_url($c, $id, ['cat'], stdin => 1) },            head => {protocols => ['v5.channel.k8s.io'], transport => 'websocket'}},
    ports       => {url => sub { Cricket::Stream::port_url($c, $pod) },                                head => {protocols => ['portforward.k8s.io']}},
    'ports-ws'  => {url => sub { Cricket::Stream::port_url($c, $pod) . '?port=7100&port=7999' },       head => {protocols => ['v5.channel.k8s.io'], transport => 'websocket'}},
    tunnel      => {url => sub { Cricket::Stream::port_url($c, $pod) },                                head => {protocols => ['SPDY/3.1+portforward.k8s.io'], transport => 'tunnel'}},
);
sub record {
    my ($name) = @_;
    my %how = (%{$kind{$name}{head}}, keep_sent => 1);
    my $s;
    if ($name =~ /port|tunnel/) {
        $s = forward(%how, ports => $name eq 'ports-ws' ? [7100, 7999] : []);
        $s->pair(0, 7100)->pair(1, 7999) if $s->{spdy};
        $s->write(data0 => 'hello')->finish('data0')->until('the echo', sub { $s->{got}{data0} =~ /hello/ });
    } else {
        $s = session(%how, tty => $name eq 'tty');
        $s->resize(80, 24) if $name eq 'tty';
        $s->write(stdin => "hello\n")->see(stdout => qr/hello/)->write(stdin => $name eq 'tty' ? "\x04" : "bye\n");
        $s->finish('stdin') if $name ne 'tty';
        $s->exit_code;
    }
    $s->close if !$s->{gone};
    return $s->{sent};
}
sub request { my ($name, $bytes) = @_; my $k = $kind{$name}; return Cricket::Stream::head($k->{url}->(), %{$k->{head}}) . $bytes }
my %recorded = map { $_ => record($_) } sort keys %kind;

for my $name (sort keys %kind) {
    my $bytes = $recorded{$name};
    $c->leaks_nothing("a reset at every byte, $name", sub {
        my $whole = request($name, $bytes);
        my $head = length($whole) - length $bytes;
        send_all('reset', map { substr $whole, 0, $_ } 0 .. $head - 1);    # a token is used up by a whole head
        send_all('reset', map { substr request($name, $bytes), 0, $head + $_ } 0 .. length $bytes);
        ok serves(), "$name: a reset at each of " . length($whole) . ' bytes, and honest clients are served';
    });
    $c->leaks_nothing("garbage, $name", sub { send_all('either', map { request($name, garbage(1 + int rand 3000)) } 1 .. 60) });
}

# ---- mutations -------------------------------------------------------------------------------------------------------------------
# One to four changes at random places: a bit, a byte, a length that is too large, a part that is missing, doubled or put elsewhere.
sub mutate {
    my ($bytes) = @_;
    for (0 .. int rand 4) {
        my $at = int rand length $bytes;
        my $n = 1 + int rand 12;
        my $part = substr $bytes, $at, $n;
        my $kind = int rand 6;
        substr($bytes, $at, 1) = chr(ord(substr $bytes, $at, 1) ^ 1 << int rand 8) if $kind == 0;
        substr($bytes, $at, 1) = chr int rand 256 if $kind == 1;
        substr($bytes, $at, length $part) = "\xff" x length $part if $kind == 2;
        substr($bytes, $at, $n) = '' if $kind == 3;
        substr($bytes, $at, 0) = $part if $kind == 4;
        substr($bytes, int rand length $bytes, 0) = $part if $kind == 5;
        last if $bytes eq '';
    }
    return $bytes;
}
for my $name (sort keys %kind) {
    $c->leaks_nothing("mutations, $name", sub {
        send_all('either', map { request($name, mutate($recorded{$name})) } 1 .. 300);
        send_all('either', map { mutate(request($name, $recorded{$name})) } 1 .. 60);
        ok serves(), "$name: 360 mutations (seed $SEED), and honest clients are served";
    });
}
note "$variants variants of bad sessions";

# ---- the slow ones ---------------------------------------------------------------------------------------------------------------
for my $sock (@slow, $drip) {
    my $in = '';
    vec($in, fileno $sock, 1) = 1;
    select $in, undef, undef, 15;
    vec($in, fileno $sock, 1) or next;
    sysread $sock, my $answer, 4096;
    $sock = undef;
}
is scalar(grep { $_ } @slow, $drip), 0, 'who does not finish a request is closed';
cmp_ok time - $slow_since, '>', 9, '... after ten seconds';
ok serves(), 'honest clients are served in the end';
$c->stop;
done_testing;
