# The streaming server itself: what RPCs refuse, what a URL is good for, what HTTP answers, time-outs, addresses, TLS.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;
use Cricket::Stream;
use Time::HiRes 'time';

my $c = Cricket->new(registry => 1);
run('prlimit', '--pid', $$, '--nofile=8192:8192');    # of the test and of the daemon
$c->start;
$c->pull;
my $pod_config = $c->pod_config(name => 'main');
my $pod = $c->run_pod($pod_config);
my $id = $c->run_container($pod, $pod_config, $c->container_config('sleep 100000'));
my $created = $c->create_container($pod, $pod_config, $c->container_config('true'));
my $exited  = $c->run_container($pod, $pod_config, $c->container_config('true'));
$c->wait_exited($exited);

sub session { my ($cmd, %o) = @_; return Cricket::Stream->exec($c, $id, ref $cmd ? $cmd : ['sh', '-c', $cmd], %o) }
sub exec_url { return Cricket::Stream::exec_url($c, $id, ['true']) }
sub works { my ($what, @o) = @_; return is(session('exit 3', @o)->exit_code, 3, $what) }
sub answer { return Cricket::Stream::answer(@_) }

# Starts the daemon again with another streaming section.
sub restart_with {
    my (%streaming) = @_;
    $c->stop if $c->{daemon_pid};
    $c->{config} = {streaming => \%streaming};
    $c->start;
}
works('a command');

# ---- what the RPCs refuse ----------------------------------------------------------------------------------------------------
$c->leaks_nothing('what is refused', sub {
    my %all = map { $_ => JSON::PP::true() } qw(stdin stdout stderr);
    for my $rpc (qw(Exec Attach)) {
        my @cmd = $rpc eq 'Exec' ? (cmd => ['true']) : ();
        $c->fails_with('INVALID_ARGUMENT', qr/missing required container_id/, $rpc, {@cmd, %all});
        $c->fails_with('INVALID_ARGUMENT', qr/tty and stderr cannot both be true/, $rpc, {container_id => $id, @cmd, %all, tty => JSON::PP::true()});
        $c->fails_with('INVALID_ARGUMENT', qr/one of stdin, stdout, or stderr must be set/, $rpc, {container_id => $id, @cmd});
        $c->fails_with('NOT_FOUND', qr/no-such/, $rpc, {container_id => 'no-such', @cmd, %all});
        $c->fails_with('FAILED_PRECONDITION', qr/not running/, $rpc, {container_id => $_, @cmd, %all}) for $created, $exited;
    }
    $c->fails_with('INVALID_ARGUMENT', qr/cmd is empty/, 'Exec', {container_id => $id, cmd => $_, %all}) for [], [''];
    $c->fails_with('INVALID_ARGUMENT', qr/missing required pod_sandbox_id/, 'PortForward', {});
    $c->fails_with('NOT_FOUND', qr/no-such/, 'PortForward', {pod_sandbox_id => 'no-such'});
    $c->fails_with('INVALID_ARGUMENT', qr/port $_ /, 'PortForward', {pod_sandbox_id => $pod, port => [80, $_]}) for 0, 65536, -1;
    my $stopped = $c->run_pod($c->pod_config);
    $c->call('StopPodSandbox', {pod_sandbox_id => $stopped});
    $c->fails_with('FAILED_PRECONDITION', qr/not ready/, 'PortForward', {pod_sandbox_id => $stopped});
    $c->remove_pod($stopped);
});
$c->leaks_nothing('a container that ends between', sub {
    my $mine = $c->run_container($pod, $pod_config, $c->container_config('sleep 100000'));
    my @urls = (Cricket::Stream::exec_url($c, $mine, ['true']), Cricket::Stream::attach_url($c, $mine));
    my @gone = (Cricket::Stream::exec_url($c, $mine, ['true']), Cricket::Stream::attach_url($c, $mine));
    $c->call('StopContainer', {container_id => $mine, timeout => 0});
    like(Cricket::Stream->command($_)->exit_code, qr/not running/, 'a container that ended between RPC and connection') for @urls;
    $c->call('RemoveContainer', {container_id => $mine});
    like(Cricket::Stream->command($_)->exit_code, qr/not found/, '... or is gone') for @gone;
    unlink glob "$pod_config->{log_directory}/*";
});

# ---- tokens ------------------------------------------------------------------------------------------------------------------
my ($base) = exec_url() =~ m{^(http://127\.0\.0\.1:\d+)/exec/[0-9a-f]{32}$};
ok $base, 'a URL is on loopback and has a token of 128 bits' or diag exec_url();
$c->leaks_nothing('tokens', sub {
    my $url = exec_url();
    is(Cricket::Stream->command($url)->exit_code, 0, 'a token is good once');
    is answer($url, protocols => ['v4.channel.k8s.io'])->{status}, 404, '... and not twice';
    for my $kind (qw(attach portforward)) {
        my $guess = exec_url() =~ s{/exec/}{/$kind/}r;
        is answer($guess)->{status}, 404, "a token of exec is none of $kind";
        is answer($guess =~ s{/$kind/}{/exec/}r)->{status}, 404, '... and used up by the attempt';
    }
    my $token = exec_url() =~ s{.*/}{}r;
    my $near = substr($token, 0, 31) . ($token =~ /0$/ ? '1' : '0');
    for my $path ("/exec/$near", '/exec/' . substr($token, 0, 31), "/exec/${token}0", '/exec/', '/exec', '/', '/metrics', '/debug/pprof', "/exec/$token/",
        '/exec/' . 'a' x 5000) {
        my $r = answer("$base$path");
        is $r->{status}, 404, 'no other path answers: ' . substr $path, 0, 50;
        unlike $r->{body}, qr/\Q$token\E/, '... and no token is told';
    }
    for my $path ('//exec', '/x', '', '/exec/../exec', '/exec/exec') {
        my $own = exec_url() =~ s{.*/}{}r;
        is answer("$base$path/$own")->{status}, 404, "\"$path\" before a token";
    }
    is answer("$base/exec/$token", method => $_)->{status}, 404, "$_: 404" for qw(PUT DELETE OPTIONS);
    is(Cricket::Stream->command("$base/exec/$token")->exit_code, 0, '... the token is good after all of that');
    is(Cricket::Stream->command(exec_url(), method => $_)->exit_code, 0, "SPDY by $_") for qw(GET POST);
    is(Cricket::Stream->command(exec_url() . '?a=b', transport => 'websocket')->exit_code, 0, 'a query does not matter');
});
$c->leaks_nothing('a thousand tokens', sub {
    restart_with();
    works('the first connection');
    my @calls = map { $c->client->start('Exec', {container_id => $id, cmd => ['true'], stdout => JSON::PP::true()}) } 1 .. 1001;
    my @answers = map { $c->client->finish($_) } @calls;
    my %seen = map { $_ => 1 } grep { defined } map { $_->{reply}{url} } @answers;
    is scalar(keys %seen), 1000, 'a thousand URLs, none twice';
    my ($refused) = grep { $_->{code} } @answers;
    is $refused->{code}, 'RESOURCE_EXHAUSTED', 'one more is too many';
    like $refused->{message}, qr/1000/, '... and it says why';
    is(Cricket::Stream->command((keys %seen)[0], stderr => 0)->exit_code, 0, 'each of them is good');
    ok exec_url(), '... and when one is used there is room for another';
    restart_with();
    works('the next daemon');
    my ($path) = (keys %seen)[1] =~ m{(/exec/.*)};
    is answer(exec_url() =~ s{/exec/.*}{$path}r)->{status}, 404, 'a token does not outlive its daemon';
});

# ---- HTTP --------------------------------------------------------------------------------------------------------------------
$c->leaks_nothing('answers', sub {
    my ($first) = exec_url() =~ m{^(http://[^/]+)};
    my $get = sub { my ($path, $headers) = @_; return "GET $path HTTP/1.1\r\nHost: x\r\n$headers\r\n" };
    my $r = answer(exec_url(), protocols => ['v9.channel.k8s.io', 'nonsense']);
    is $r->{status}, 403, 'no protocol in common: 403';
    is $r->{headers}{'x-accepted-stream-protocol-versions'},
      'v5.channel.k8s.io, v4.channel.k8s.io, v3.channel.k8s.io, v2.channel.k8s.io, channel.k8s.io', '... with those that are';
    is(Cricket::Stream->command(exec_url(), protocols => ['v9.channel.k8s.io', 'v3.channel.k8s.io', 'v4.channel.k8s.io'])->{protocol}, 'v3.channel.k8s.io',
        'the first known one of the client\'s is taken');
    is answer(exec_url(), protocols => [])->{status}, 400, 'no protocol over SPDY: 400';
    $r = answer(Cricket::Stream::port_url($c, $pod), protocols => ['v4.channel.k8s.io']);
    is "$r->{status} $r->{headers}{'x-accepted-stream-protocol-versions'}", '403 portforward.k8s.io', 'and of port-forward';
    is answer(exec_url(), transport => 'websocket', protocols => ['v9.channel.k8s.io'])->{status}, 403, 'an unknown protocol of WebSocket: 403';
    my $path = sub { exec_url() =~ s{^http://[^/]+}{}r };
    for my $row (
        ['no upgrade',            '',                                                  400, qr/upgrade/i],
        ['another upgrade',       "Connection: Upgrade\r\nUpgrade: h2c\r\n",           400, qr/SPDY/],
        ['no Connection',         "Upgrade: SPDY/3.1\r\n",                             400, qr/Connection/],
        ['an old WebSocket',      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n", 426, qr/13/],
        ['no key',                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", 400, qr/Sec-WebSocket-Key/],
        ['a short key',           "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEy\r\n", 400, qr/Sec-WebSocket-Key/],
      ) {
        my ($what, $headers, $status, $says) = @$row;
        $r = answer("$first/", text => $get->($path->(), $headers));
        is $r->{status}, $status, "$what: $status";
        like $r->{body}, $says, '... and why';
        is $r->{headers}{'sec-websocket-version'}, 13, '... and the version that is' if $status == 426;
    }
    is answer(exec_url(), transport => 'websocket', method => 'POST')->{status}, 400, 'WebSocket by POST: 400';
    is answer("$first/", text => "\x16\x03\x01 nonsense\r\n\r\n")->{status}, 400, 'what is no HTTP: 400';
});
$c->leaks_nothing('a thousand sessions', sub {
    my @before = slurp("/proc/$c->{daemon_pid}/smaps_rollup") =~ /^Anonymous: +(\d+)/m;
    my @s = map { Cricket::Stream->port_forward($c, $pod) } 1 .. 1000;
    my @after = slurp("/proc/$c->{daemon_pid}/smaps_rollup") =~ /^Anonymous: +(\d+)/m;
    note sprintf 'an idle port-forward over SPDY takes %.1f KiB of the daemon', ($after[0] - $before[0]) / 1000;
    my $url = exec_url();
    my $r = answer($url, protocols => ['v4.channel.k8s.io']);
    is $r->{status}, 429, 'a thousand sessions are open: 429';
    is $r->{headers}{'retry-after'}, 60, '... with Retry-After';
    (pop @s)->close;
    wait_for('room', sub { my $now = answer($url, protocols => ['v4.channel.k8s.io']); close $now->{sock}; return $now->{status} == 101 });
    pass '... and the token is good when there is room again';
    $_->close for @s;
});

# ---- time-outs ---------------------------------------------------------------------------------------------------------------
restart_with(creation_timeout_s => 1, idle_timeout_s => 2);
works('with short time-outs');
$c->leaks_nothing('streams that are not opened', sub {
    my $began = time;
    my $s = session('true', streams => ['error']);
    my $silent = session('true', streams => []);
    my $half = Cricket::Stream->port_forward($c, $pod);
    $half->stream('data0', streamtype => 'data', port => 80, requestid => 1);
    like $s->exit_code, qr/has not opened its streams within 1 s/, 'a client that opens one stream of three';
    $silent->wait_gone;
    pass '... or none';
    $half->until('the reset', sub { $half->{reset}{data0} });
    pass '... or one of a pair';
    cmp_ok time - $began, '<', 4, '... hears of it in time';
    ok !$half->{gone}, '... the others of that connection stay';
    $half->close;
});
$c->leaks_nothing('idle sessions', sub {
    my $began = time;
    my @s = map { session('cat', stdin => 1, transport => $_) } qw(spdy websocket);
    my @forward = map { Cricket::Stream->port_forward($c, $pod, transport => $_) } qw(spdy tunnel);
    my $busy = session('while :; do echo x; sleep 0.5; done');
    like $_->exit_code, qr/no byte has moved for 2 s/, "$_->{protocol}: an idle session ends and is told why" for @s;
    is $_->wait_gone->{goaway}, 0, '... port-forward as well' for @forward;
    cmp_ok time - $began, '>', 1.9, '... not before its time';
    $busy->until('five seconds', sub { time - $began > 5 });
    ok !$busy->{gone}, '... and not one in which something moves';
    $busy->close;
});

# ---- addresses ---------------------------------------------------------------------------------------------------------------
sub refused {
    my ($what, $says, %streaming) = @_;
    $c->{config} = {streaming => \%streaming};
    $c->write_config;
    my ($rc, $text) = run("$Cricket::BUILD/cricketd", '--config', "$c->{dir}/config.yaml", 'config', 'check');
    isnt $rc, 0, "$what is refused";
    like $text, $says, '... and says why';
}
$c->stop;
refused('an address that all can reach', qr/0\.0\.0\.0.*TLS.*allow_plain_remote/, address => '0.0.0.0');
refused('the same in IPv6', qr/TLS/, address => '::');
refused('a certificate without a key', qr/tls_key/, tls_cert => '/x');
refused('client certificates without TLS', qr/tls_client_ca/, tls_client_ca => '/x');
refused('a name for an address', qr/IP address/, address => 'localhost');
for my $row ([{address => '0.0.0.0', allow_plain_remote => JSON::PP::true()}, qr{^http://127\.0\.0\.1:}], [{address => '::1'}, qr{^http://\[::1\]:}], [{port => 18_080}, qr{^http://127\.0\.0\.1:18080/}]) {
    restart_with(%{$row->[0]});
    like exec_url(), $row->[1], join(', ', map { "$_ $row->[0]{$_}" } sort keys %{$row->[0]}) . ': the URL';
    works('... works');
}
$c->stop;
my $taken = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 18_081, Listen => 1);
$c->{config} = {streaming => {port => 18_081}};
$c->launch;
wait_for('the daemon to give up', sub { waitpid($c->{daemon_pid}, POSIX::WNOHANG()) == $c->{daemon_pid} });
isnt $?, 0, 'a port that is taken ends the start';
like slurp($c->{log}), qr/streaming: .*18081.*in use/, '... and says why';
delete $c->{daemon_pid};
close $taken;

# ---- TLS ---------------------------------------------------------------------------------------------------------------------
# A certificate authority and, by it, certificates: $dir/NAME.pem and .key.
my $dir = "$c->{dir}/tls";
mkdir $dir;
sub openssl { my ($rc, $text) = run('openssl', @_); $rc == 0 or die $text }
sub authority {
    my ($name) = @_;
    openssl(qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj), "/CN=$name", '-keyout', "$dir/$name.key", '-out', "$dir/$name.pem");
}
sub certificate {
    my ($ca, $name, $file) = @_;
    openssl(qw(req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj), "/CN=$name", '-keyout', "$dir/new.key", '-out', "$dir/new.csr");
    spew("$dir/ext", "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
    openssl(qw(x509 -req -days 2 -CAcreateserial -extfile), "$dir/ext", '-in', "$dir/new.csr", '-CA', "$dir/$ca.pem", '-CAkey', "$dir/$ca.key", '-out', "$dir/new.pem");
    rename "$dir/new.$_", "$dir/$file.$_" for qw(key pem);
}
authority($_) for qw(first second);
certificate(first => 'server', 'server');
certificate(first => 'client', 'client');
certificate(second => 'stranger', 'stranger');
my %tls = (tls_cert => "$dir/server.pem", tls_key => "$dir/server.key");
my %client = (ca => "$dir/first.pem");
my %named  = (%client, cert => "$dir/client.pem", key => "$dir/client.key");

restart_with(%tls);
like exec_url(), qr{^https://127\.0\.0\.1:}, 'with a certificate: https';
works('a command over TLS', tls => \%client);
$c->leaks_nothing('TLS', sub {
    works("over TLS, $_", tls => \%client, transport => $_) for qw(spdy websocket);
    my $s = session('head -c 30000000 /dev/zero; exit 5', tls => \%client, hash => 1);
    is $s->exit_code(60), 5, 'much output over TLS';
    is $s->{seen}{stdout}, 30_000_000, '... is complete';
    my ($rc, $text) = run('curl', '-sS', '--max-time', 5, '--cacert', "$dir/first.pem", exec_url());
    like $text, qr/unable to upgrade/, 'curl gets an answer';
    ($rc, $text) = run('curl', '-sS', '--max-time', 5, '--cacert', "$dir/first.pem", '--tls-max', '1.1', exec_url());
    isnt $rc, 0, '... not by TLS 1.1';
    ($rc, $text) = run('curl', '-sS', '--max-time', 5, exec_url() =~ s/^https/http/r);
    isnt $rc, 0, '... and not without TLS';
    my $t = session('echo up; cat; exit 6', stdin => 1, tls => \%client);
    $t->see(stdout => qr/up/);
    certificate(second => 'server', 'server');
    is answer(exec_url(), tls => \%client)->{status}, 0, 'a new certificate of another authority: the old clients are out';
    works('... the new ones in, without a restart', tls => {ca => "$dir/second.pem"});
    spew("$dir/server.pem", 'garbage');
    works('a certificate that cannot be used: the last good one stays', tls => {ca => "$dir/second.pem"});
    $t->finish('stdin');
    is $t->exit_code, 6, '... and a session that was there goes on';
});
certificate(first => 'server', 'server');
restart_with(%tls, tls_client_ca => "$dir/first.pem", address => '0.0.0.0');
works('a client with its certificate, and all addresses', tls => \%named);
$c->leaks_nothing('client certificates', sub {
    is answer(exec_url(), tls => \%client)->{status}, 0, 'a client without one is out';
    is answer(exec_url(), tls => {%named, map { $_ => "$dir/stranger." . ($_ eq 'cert' ? 'pem' : 'key') } qw(cert key)})->{status}, 0, '... one of another authority, too';
    works('... one with it is in', tls => \%named);
});
$c->stop;
done_testing;
