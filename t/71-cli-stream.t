# exec, attach and port-forward of the command line, against a runtime that does what each command and port says: t/fake/cri-stream.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;
use IO::Socket::INET;
use IPC::Open2;

my $c = Cricket->new;
my $BIN = "$Cricket::BUILD/cricket";
my ($fake, $from_fake, $to_fake);

sub start_fake {
    my (@more) = @_;
    unlink $c->{socket};
    $fake = open2($from_fake, $to_fake, "$FindBin::Bin/fake/cri-stream", $c->{socket}, "$Cricket::TOOLS/py", @more);
    is scalar <$from_fake>, "ready\n", "a runtime with a streaming server (@more)";
}

# Ends it: what it was asked, as objects.
sub stop_fake {
    close $to_fake;
    my @asked = map { JSON::PP->new->decode($_) } <$from_fake>;
    waitpid $fake, 0;
    return @asked;
}

sub argv { return ($BIN, '--endpoint', "unix://$c->{socket}", @_) }

# stdin is a file with $in, stdout and stderr are one file each: (exit code, stdout, stderr).
sub cricket {
    my ($in, @args) = @_;
    spew("$c->{dir}/in", $in);
    my $pid = fork // die;
    if (!$pid) {
        open STDIN,  '<', "$c->{dir}/in";
        open STDOUT, '>', "$c->{dir}/out";
        open STDERR, '>', "$c->{dir}/err";
        exec argv(@args) or POSIX::_exit(127);
    }
    wait_for("cricket @args to end", sub { waitpid($pid, POSIX::WNOHANG) == $pid });
    return ($? & 127 ? 128 + ($? & 127) : $? >> 8, slurp("$c->{dir}/out"), slurp("$c->{dir}/err"));
}

sub gives {
    my ($args, $code, $out, $err, $what, $in) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @got = cricket($in // '', @$args);
    is($got[0], $code, "$what: exit code $code") && like($got[1], $out, '... stdout') && like($got[2], $err, '... stderr')
      or diag "cricket @$args: $got[1]\n$got[2]";
}

# In a terminal: (exit code, how it was left, output).
sub in_terminal {
    my ($steps, @args) = @_;
    my ($rc, $out) = run('/usr/bin/python3', "$FindBin::Bin/lib/terminal.py", JSON::PP->new->encode($steps), argv(@args));
    my ($code, $left, $text) = $out =~ /\Aexit (-?\d+) (\w+)\n(.*)\z/s or return (-1, 'lost', $out);
    return ($code, $left, $text);
}

start_fake();

# ---- exec ----------------------------------------------------------------------------------------------------------------
gives([qw(exec web both 7)], 7, qr/^out\n$/, qr/^err\n$/, 'both outputs and the exit code');
gives([qw(exec web fragments)], 0, qr/^one two\n$/, qr/^$/, 'messages in fragments');
gives([qw(exec -i web cat)], 0, qr/^some\ninput$/, qr/^10\n$/, 'the input and its end', "some\ninput");
gives([qw(exec -i web drop)], 4, qr/^enough\n$/, qr/^$/, 'a command that ends without its input', 'x' x 5_000_000);
gives([qw(exec web fails)], 1, qr/^$/, qr/^cricket exec: no such \[2J program\n$/, 'a command that does not run');
gives([qw(exec web unimplemented)], 3, qr/^at once\n$/, qr/^$/, 'a runtime without Exec');
gives([qw(exec -i web unimplemented)], 1, qr/^$/, qr/Exec/, '... has no input to give');
gives([qw(exec --limit 2s web x)], 3, qr/^at once\n$/, qr/^$/, '--limit');
gives([qw(exec over true)], 1, qr/^$/, qr/does not run/, 'a container that has ended');
gives([qw(exec -i --limit 2s web x)], 2, qr/^$/, qr/--limit is for/, '-i with --limit');
gives([qw(exec -it web sh)], 2, qr/^$/, qr/-t needs a terminal.*leave out -t/, '-t without a terminal');

my $noise = join '', map { chr int rand 256 } 1 .. 3_000_000;
my ($rc, $out) = cricket($noise, qw(exec -i web cat));
ok $rc == 0 && $out eq $noise, '3 MB there and back, byte for byte';

# A reader that ends: the command line ends as others do.
($rc, $out) = run('sh', '-c', join ' ', argv(qw(exec web flood 2000)), '| head -c 3; kill -l ${PIPESTATUS:-141}');
like $out, qr/^xxx/, 'output into a pipe that is closed';
($rc, $out) = run('bash', '-c', join(' ', argv(qw(exec web flood 2000))) . ' | head -c 3 > /dev/null; echo ${PIPESTATUS[0]}');
is $out, "141\n", '... is what SIGPIPE would have been, and quiet';

# A reader that does not read: the server is slowed down, and memory stays small.
{
    my $pid = open my $pipe, '-|', argv(qw(exec web flood 5000)) or die;
    sysread $pipe, my $some, 1000;
    my $memory = sub { (slurp("/proc/$pid/status") // '') =~ /VmRSS:\s+(\d+)/ ? $1 : 0 };
    my $first = $memory->();
    sysread($pipe, $some, 1_000_000) for 1 .. 1000;
    cmp_ok $memory->(), '<', $first + 4096, 'output through a slow reader needs no memory';
    my $rest = 0;
    while (my $n = sysread $pipe, $some, 1 << 20) { $rest += $n }
    ok close $pipe, '... and comes to its end';
}

# ---- faults --------------------------------------------------------------------------------------------------------------
gives([qw(exec web error)], 1, qr/^$/, qr/HTTP 500 "Internal Server Error": the stream is broken/, 'an answer that refuses');
gives([qw(exec web garbage)], 1, qr/^$/, qr/is not HTTP/, 'an answer that is no HTTP');
gives([qw(exec web headers)], 1, qr/^$/, qr/more than 16384 bytes of headers/, 'an answer without an end');
gives([qw(exec web hangup)], 1, qr/^$/, qr/closed the connection without an answer/, 'no answer');
gives([qw(--timeout 0.3 exec web silent)], 1, qr/^$/, qr/gave no answer within 0\.3 s/, 'an answer that never comes');
gives([qw(exec web nowhere)], 1, qr/^$/, qr/streaming server 127\.0\.0\.1:1 cannot be reached.*refused/, 'a server that is not there');
gives([qw(exec web cut)], 1, qr/^half$/, qr/ended the connection|reading/, 'a connection that breaks');
gives([qw(exec web closes)], 1, qr/^$/, qr/code 1011: the keeper died/, 'a close before the exit code');
gives([qw(exec web masked)], 1, qr/^$/, qr/broke the WebSocket protocol: a masked frame/, 'a server that breaks the protocol');

# ---- terminals -----------------------------------------------------------------------------------------------------------
my ($code, $left, $text) = in_terminal([['size 80x24', [50, 100]], ['size 100x50', "\x03"], ['[03]', 'q']], qw(exec -it web term));
is $code, 6, 'exec -it passes the exit code on';
is $left, 'cooked', '... and leaves the terminal as it was';
like $text, qr/ready/, '... the sizes and Ctrl-C went to the command';
for my $signal (1, 2, 3, 15) {
    ($code, $left) = in_terminal([['size 80x24', {signal => $signal}]], qw(exec -it web term));
    is_deeply [$code, $left], [128 + $signal, 'cooked'], "signal $signal restores the terminal";
}
for my $fault (['cut', qr/half/], ['fails', qr/no such/], ['closes', qr/1011/]) {
    ($code, $left, $text) = in_terminal([], qw(exec -it web), $fault->[0]);
    is_deeply [$code, $left], [1, 'cooked'], "... and so does `$fault->[0]`";
    like $text, $fault->[1], '... which is told';
}
($code, $left, $text) = in_terminal([['ready', "\x03"]], qw(exec web forever));
is $code, 130, 'Ctrl-C without -t ends the command line';
like $text, qr/interrupted; what runs in the container may go on/, '... and says what it does not do';

# ---- attach --------------------------------------------------------------------------------------------------------------
($code, $left, $text) = in_terminal([['size 80x24', 'x'], ['[78]', "\x10"], ['', 'y'], ['[1079]', "\x10\x11"]], qw(attach term));
is_deeply [$code, $left], [0, 'cooked'], 'attach, and ctrl-p ctrl-q';
like $text, qr/ctrl-p,ctrl-q leaves container term/, '... which it names';
($code, $left, $text) = in_terminal([['size', "\x10\x11"], ['[1011]', 'a'], ['', 'b']], 'attach', '--detach-keys', 'a,b', 'term');
is_deeply [$code, $left], [0, 'cooked'], 'other keys';
($code, $left, $text) = in_terminal([['size', "\x10\x11"], ['[1011]', 'q']], 'attach', '--detach-keys', '', 'term');
is $code, 9, 'none, and the exit code of the container';
gives([qw(attach --detach-keys ctrl-1 term)], 2, qr/^$/, qr/"ctrl-1" is no key/, 'keys that are none');
gives([qw(attach over)], 1, qr/^$/, qr/does not run/, 'attach to what has ended');
($code, $left, $text) = in_terminal([['ready', "\x03"]], qw(attach web));
is_deeply [$code, $left], [130, 'cooked'], 'Ctrl-C leaves a container without a terminal';
($code) = in_terminal([['ready', {signal => 2}]], qw(attach --no-stdin web));
is $code, 130, 'attach --no-stdin';

# ---- port-forward --------------------------------------------------------------------------------------------------------
my $forward_out = "$c->{dir}/forward";
my $forward = $c->spawn($forward_out, argv => [argv(qw(port-forward pod 0:7 :9 :11 :13 :404))]);
my %port;
wait_for('the listeners', sub { %port = reverse((slurp($forward_out) // '') =~ /^Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)$/mg); keys %port == 5 });
sub connection { return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port{$_[0]}) // die "$_[0]: $!" }

# Sends, half-closes, and reads to the end, all at once; undef when the connection was reset.
sub converse {
    my ($number, $data) = @_;
    my $s = connection($number);
    my $writer = fork // die;
    if (!$writer) { print $s $data; $s->flush; shutdown $s, 1; POSIX::_exit(0) }
    my $got = '';
    while (1) {
        my $n = sysread $s, $got, 1 << 16, length $got;
        last if !$n && defined $n;
        if (!defined $n) { $got = undef; last }
    }
    waitpid $writer, 0;
    return $got;
}
is converse(7, 'hi'), 'hibye', 'a connection, and its half-close';
ok converse(7, $noise) eq "${noise}bye", '3 MB there and back, byte for byte';
my @many = map { connection(7) } 1 .. 200;
$many[$_]->syswrite("number $_\n") for 0 .. $#many;
is_deeply [map { scalar readline $_ } @many], [map { "number $_\n" } 0 .. $#many], '200 connections at once'
  or diag slurp($forward_out);
shutdown $_, 1 for @many;
is_deeply [map { scalar readline $_ } @many], [('bye') x @many], '... and their ends';
close $_ for @many;
is converse(13, $noise), 'hello', 'a server that reads nothing and ends';
is converse(9, ''), undef, 'a port that refuses is a reset';
is converse(11, ''), undef, '... and a connection that breaks is one, too';
wait_for('both to be told', sub { slurp($forward_out) =~ /port 9: connection refused.*port 11: /s });
my $taken = $port{7};
gives([qw(port-forward pod), "$taken:7"], 1, qr/^$/, qr/cannot listen on 127\.0\.0\.1 port $taken.*another port/, 'a port that is taken');
gives([qw(port-forward pod 0)], 2, qr/^$/, qr/\[LOCAL:\]REMOTE/, 'a port that is none');
gives([qw(port-forward nobody 80)], 1, qr/^$/, qr/nobody/, 'a pod that is not there');
gives([qw(port-forward --address here pod 80)], 1, qr/^$/, qr/no IPv4 or IPv6 address/, 'an address that is none');
kill INT => $forward;
wait_for('port-forward to end', sub { waitpid($forward, POSIX::WNOHANG) == $forward });
is $?, 0, 'Ctrl-C ends it well';
$forward = $c->spawn("$forward_out.v6", argv => [argv(qw(port-forward --address ::1 web :404))]);
wait_for('the listener', sub { (slurp("$forward_out.v6") // '') =~ /^Forwarding from \[::1\]:(\d+) -> 404$/m and $port{v6} = $1 });
run('curl', '-s', "http://[::1]:$port{v6}/");
wait_for('the end', sub { waitpid($forward, POSIX::WNOHANG) == $forward });
is $? >> 8, 1, 'a pod that is gone ends it';
like slurp("$forward_out.v6"), qr/port 404: the pod is gone/, '... and says so';

my @asked = stop_fake();
my ($tty) = grep { $_->{exec} && $_->{exec}{tty} } @asked;
is_deeply $tty->{exec}, {containerId => 'w' x 64, cmd => ['term'], tty => JSON::PP::true, stdin => JSON::PP::true, stdout => JSON::PP::true},
  'a terminal has no stderr of its own';
my ($plain) = grep { $_->{exec} } @asked;
is_deeply $plain->{exec}, {containerId => 'w' x 64, cmd => ['both', '7'], stdout => JSON::PP::true, stderr => JSON::PP::true},
  'without -i there is no stdin';
ok((grep { exists $_->{left} } @asked) > 0, 'who leaves says Close');

# ---- the older protocol, and TLS -----------------------------------------------------------------------------------------
start_fake('v4');
gives([qw(exec web both 3)], 3, qr/^out\n$/, qr/^err\n$/, 'v4');
gives([qw(exec -i web both 3)], 3, qr/^out\n$/, qr/has no word for that|^err\n$/, '... with an input that ends');
stop_fake();

my @request = (qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=node -addext), 'subjectAltName=IP:127.0.0.1');
for my $name ('server', 'other') {
    my ($failed, $why) = run(@request, '-keyout', "$c->{dir}/$name.key", '-out', "$c->{dir}/$name.pem");
    is $failed, 0, "a certificate ($name)" or diag $why;
}
start_fake("$c->{dir}/server.pem", "$c->{dir}/server.key");
gives([qw(exec web tls-both 5)], 5, qr/^out\n$/, qr/^err\n$/, 'TLS');
gives(['exec', '--tls-ca', "$c->{dir}/server.pem", qw(web tls-both 5)], 5, qr/^out\n$/, qr/^err\n$/, '... verified');
gives(['exec', '--tls-ca', "$c->{dir}/other.pem", qw(web tls-both 5)], 1, qr/^$/, qr/certificate does not fit.*--tls-ca/, '... with another CA');
gives(['exec', '--tls-ca', '/nonexistent', qw(web tls-both 5)], 1, qr/^$/, qr{--tls-ca /nonexistent holds no certificate}, '... with none');
stop_fake();
done_testing;
