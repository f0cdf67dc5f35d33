# Clients that are not ours on the streaming server: crictl over SPDY and WebSocket, python3-websockets; and our own command line.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;
use Cricket::Stream;
use IO::Socket::IP;

my $TRUE = JSON::PP::true();
my $c = Cricket->new(registry => 1);
$c->start;
$c->pull;
my $pod_config = $c->pod_config(name => 'main');
my $pod = $c->run_pod($pod_config);
sub container { my ($script, %o) = @_; return $c->run_container($pod, $pod_config, $c->container_config($script, %o)) }
my $id = container('nc -ll -p 7100 -e cat');
my $shell = container('while read line; do eval "$line"; done; sleep 100000', stdin => $TRUE);
Cricket::Stream->exec($c, $id, ['touch', '/tmp/first'])->exit_code;
wait_for('the pod\'s server', sub {    # whose first child may stay a zombie
    my $s = Cricket::Stream->port_forward($c, $pod)->pair(0, 7100)->finish('data0');
    $s->until("the end of a connection", sub { $s->{ended}{error0} });
    $s->close;
    return $s->{got}{error0} eq '';
});

# Runs a program with $in as its stdin: (exit code, stdout, stderr).
sub piped {
    my ($in, @argv) = @_;
    spew("$c->{dir}/in", $in);
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN,  '<', "$c->{dir}/in";
        open STDOUT, '>', "$c->{dir}/out";
        open STDERR, '>', "$c->{dir}/err";
        exec @argv or POSIX::_exit(127);
    }
    wait_for("@argv to end", sub { waitpid($pid, POSIX::WNOHANG()) == $pid }, 60);
    return ($? & 127 ? 128 + ($? & 127) : $? >> 8, slurp("$c->{dir}/out"), slurp("$c->{dir}/err"));
}

# In a terminal, see t/lib/terminal.py: (exit code, how it was left, output).
sub in_terminal {
    my ($steps, @argv) = @_;
    my ($rc, $out) = run('/usr/bin/python3', "$FindBin::Bin/lib/terminal.py", JSON::PP->new->encode($steps), @argv);
    return $out =~ /\Aexit (-?\d+) (\w+)\n(.*)\z/s ? ($1, $2, $3) : (-1, 'lost', $out);
}

# A connection to a local port, once something listens there: what comes back for "hello".
sub echo_of {
    my ($port) = @_;
    my $sock = wait_for("port $port", sub { IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port) });
    print $sock 'hello';
    $sock->flush;
    shutdown $sock, 1;
    local $/;
    return scalar <$sock>;
}

# Runs a port-forward of $argv on a local port, with ten connections; ended by SIGINT.
sub forwards {
    my ($what, $port, @argv) = @_;
    my $pid = $c->spawn("$c->{dir}/forward.log", argv => \@argv);
    is echo_of($port), 'hello', $what for 1 .. 10;
    kill INT => $pid;
    wait_for('it to end', sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
}

# ---- crictl ------------------------------------------------------------------------------------------------------------------
my $MUCH = 50_000_000;
for my $transport (have('crictl') ? qw(spdy websocket) : ()) {
    $c->crictl('version');    # writes its configuration
    my @crictl = ("$Cricket::TOOLS/tools/crictl", '--config', "$c->{dir}/crictl.yaml");
    my @exec = (@crictl, 'exec', '--transport', $transport);
    $c->leaks_nothing("crictl exec, $transport", sub {
        my ($code, $out, $err) = piped('', @exec, $id, 'sh', '-c', 'echo out; echo err >&2; exit 3');
        is $out, "out\n", "crictl, $transport: stdout";
        like $err, qr/^err$/m, '... stderr';
        like $err, qr/exit code 3/, '... the exit code';
        isnt $code, 0, '... a failure';
        is_deeply [(piped('', @exec, $id, 'true'))[0, 1]], [0, ''], '... success';
        is_deeply [(piped("typed\n", @exec, '-i', $id, 'cat'))[0, 1]], [0, "typed\n"], '... stdin and its end';
        like +(piped('', @exec, $id, 'not-there'))[2], qr/not-there/, '... a command that is not there';
        is length((piped('', @exec, $id, 'head', '-c', $MUCH, '/dev/zero'))[1]), $MUCH, '... much output';
    });
    $c->leaks_nothing("crictl exec -it, $transport", sub {
        my ($code, $left, $text) = in_terminal([['# ', "stty size\r"], ["24 80\r\n", [50, 100]], ['# ', 'until [ "$(stty size)" = "50 100" ]; do :; done; echo $((6*7))' . "\r"],
            ["42\r\n", "exit 0\r"]], @exec, '-it', $id, 'sh');
        is $code, 0, "crictl, $transport, -it in a terminal, which changes its size" or diag $text;
        is $left, 'cooked', '... and is as it was';
    });
    $c->leaks_nothing("crictl attach, $transport", sub {
        my ($code, $out) = piped("echo to the shell; echo and >&2\n", @crictl, 'attach', '--transport', $transport, '-i', $shell);
        is $code, 0, "crictl, $transport: attach ends with its stdin";
        my $s = Cricket::Stream->attach($c, $shell, stdin => 1);
        $s->write(stdin => "echo still\n")->see(stdout => qr/still/)->close;
    });
    $c->leaks_nothing("crictl port-forward, $transport", sub {
        forwards("crictl, $transport: port-forward", 18_100, @crictl, 'port-forward', '--transport', $transport, $pod, '18100:7100');
    });
}

# ---- python3-websockets --------------------------------------------------------------------------------------------------------
sub ws {
    my ($url, $protocol, @steps) = @_;
    my ($rc, $text) = run('/usr/bin/python3', "$FindBin::Bin/lib/ws.py", $url, $protocol, JSON::PP->new->encode(\@steps));
    return $rc == 0 ? JSON::PP->new->decode($text) : {protocol => "failed: $text"};
}
for my $protocol (qw(v5.channel.k8s.io v4.channel.k8s.io v4.base64.channel.k8s.io channel.k8s.io base64.channel.k8s.io), '') {
    $c->leaks_nothing("python3-websockets, $protocol", sub {
        my $url = Cricket::Stream::exec_url($c, $id, ['sh', '-c', 'head -c 6; echo err >&2; exit 4'], stdin => 1);
        my $r = ws($url, $protocol, ['send', 0, 'hello'], ['ping'], ['send', 0, '!'], ['end']);
        is $r->{protocol}, $protocol, 'python3-websockets, ' . ($protocol || 'no protocol');
        is_deeply [@{$r->{channels}}{1, 2}], ['hello!', "err\n"], '... stdin, stdout, stderr';
        like $r->{channels}{3}, $protocol =~ /^v/ ? qr/"reason":"ExitCode","message":"4"/ : qr/exit code 4$/, '... the exit code';
        is $r->{code}, 1000, '... and a Close that says that all is well';
        $url = Cricket::Stream::exec_url($c, $id, ['sh', '-c', 'until [ "$(stty size)" = "33 44" ]; do :; done; echo $((6*7)); read x; exit 5'], stdin => 1, tty => 1);
        $r = ws($url, $protocol, ['send', 4, '{"Width":44,"Height":33}'], ['expect', 1, "42\r\n"], ['send', 0, "\n"], ['end']);
        like $r->{channels}{3}, qr/\b5\b/, '... a terminal and its size';
        $r = ws(Cricket::Stream::attach_url($c, $shell, stdin => 1), $protocol, ['send', 0, "echo on; echo more\n"], ['expect', 1, "more\n"], ['leave']);
        is_deeply [$r->{channels}{1}, $r->{code}], ["on\nmore\n", 1000], '... attach, and our Close is answered';
        return if $protocol !~ /^v|^$/;
        $url = Cricket::Stream::port_url($c, $pod) . '?port=7100&port=7999';
        $r = ws($url, $protocol, ['send', 0, 'ported'], ['expect', 0, 'ported'], ['expect', 3, 'refused'], ['leave']);
        like $r->{channels}{3}, qr/Connection refused/, '... port-forward';
    });
}
$c->leaks_nothing('python3-websockets, parts', sub {
    my $r = ws(Cricket::Stream::exec_url($c, $id, ['cat'], stdin => 1), 'v5.channel.k8s.io', ['parts', 0, ['one ', 'two ', 'three']], ['finish', 0], ['end']);
    is $r->{channels}{1}, 'one two three', 'a message in fragments, and the half-close of v5';
});

# ---- cricket -------------------------------------------------------------------------------------------------------------------
my @cricket = ("$Cricket::BUILD/cricket", '--endpoint', "unix://$c->{socket}");
$c->leaks_nothing('cricket', sub {
    is_deeply [piped("typed\n", @cricket, 'exec', '-i', $id, 'sh', '-c', 'cat; echo err >&2; exit 7')], [7, "typed\n", "err\n"], 'cricket exec: streams and exit code';
    my ($code, $left, $text) = in_terminal([['# ', 'until [ "$(stty size)" = "24 80" ]; do :; done; echo $((6*7))' . "\r"], ["42\r\n", [50, 100]],
        ['# ', 'until [ "$(stty size)" = "50 100" ]; do :; done; exit 9' . "\r"]], @cricket, 'exec', '-it', $id, 'sh');
    is_deeply [$code, $left], [9, 'cooked'], '... -it in a terminal, which changes its size' or diag $text;
    forwards('cricket port-forward', 18_200, @cricket, 'port-forward', $pod, '18200:7100');
});
$c->stop;
done_testing;
