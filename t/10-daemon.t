# The daemon by itself: start and stop, arguments, configuration, odd clients, methods that are not there.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;
use Fcntl 'S_IMODE';
use IO::Socket::UNIX;

my $c = Cricket->new;
my $daemon = "$Cricket::BUILD/cricketd";

# ---- arguments -----------------------------------------------------------------------------------------------------------
my ($rc, $text) = run($daemon, '--version');
is $rc, 0, '--version ends well';
like $text, qr/^cricketd? 0\.1\.0/, '... and says it';
for my $bad (['--nonsense'], ['--listen'], ['--listen', 'tcp://127.0.0.1:1'], ['--log-level', 'loud'], ['stray']) {
    ($rc, $text) = run($daemon, '--root', "$c->{dir}/r", '--state', "$c->{dir}/s", @$bad);
    isnt $rc, 0, "refused: @$bad";
    like $text, qr/\Q$bad->[-1]\E/, '... by name';
}

# ---- configuration -------------------------------------------------------------------------------------------------------
for my $row (
    ["nonsense: 1\n",                       qr/bad\.yaml:1.*nonsense/s],
    ["containers:\n  pids_limit: many\n", qr/bad\.yaml:2.*pids_limit/s],
    ["log_level: loud\n",                   qr/log_level.*loud/s],
    ["log_level: [\n",                      qr/bad\.yaml/],
  ) {
    spew("$c->{dir}/bad.yaml", $row->[0]);
    ($rc, $text) = run($daemon, '--config', "$c->{dir}/bad.yaml", '--root', "$c->{dir}/r", '--state', "$c->{dir}/s");
    isnt $rc, 0, 'a bad configuration is refused: ' . $row->[0] =~ s/\n/ /gr;
    like $text, $row->[1], '... and says where';
    ($rc, $text) = run($daemon, 'config', 'check', '--config', "$c->{dir}/bad.yaml");
    isnt $rc, 0, '... by config check too';
}
($rc, $text) = run($daemon, '--config', "$c->{dir}/absent.yaml", '--root', "$c->{dir}/r", '--state', "$c->{dir}/s");
isnt $rc, 0, 'a configuration file that was named must exist';
like $text, qr/absent\.yaml/, '... and is named';
($rc, $text) = run($daemon, 'config', 'default');
is $rc, 0, 'config default';
spew("$c->{dir}/default.yaml", $text);
($rc, $text) = run($daemon, 'config', 'check', '--config', "$c->{dir}/default.yaml");
is $rc, 0, 'the default configuration passes config check' or diag $text;

# ---- start ---------------------------------------------------------------------------------------------------------------
$c->start;
is_deeply $c->call('Version'),
  {version => '0.1.0', runtime_name => 'cricket', runtime_version => '0.1.0', runtime_api_version => 'v1'}, 'Version';
is S_IMODE((stat $c->{socket})[2]), 0660, 'the socket is for root and its group';
is scalar(my @tasks = glob "/proc/$c->{daemon_pid}/task/*"), 1, 'the daemon has one thread';

my %condition = map { $_->{type} => $_ } @{$c->call('Status')->{status}{conditions}};
ok $condition{RuntimeReady}{status}, 'RuntimeReady' or diag explain \%condition;
ok $condition{NetworkReady}{status}, 'NetworkReady' or diag explain \%condition;
like $c->call('RuntimeConfig')->{linux}{cgroup_driver}, qr/^(CGROUPFS|SYSTEMD)$/, 'RuntimeConfig names the cgroup driver';
ok $c->call('UpdateRuntimeConfig', {runtime_config => {network_config => {pod_cidr => '10.1.0.0/16'}}}), 'UpdateRuntimeConfig';
is_deeply $c->call($_->[0]), {$_->[1] => []}, "$_->[0] is empty"
  for ['ListPodSandbox', 'items'], ['ListContainers', 'containers'], ['ListImages', 'images'];

# ---- what is not there ---------------------------------------------------------------------------------------------------
$c->fails_with('UNIMPLEMENTED', qr/^$_ is not implemented by cricket/, $_) for qw(CheckpointContainer CheckpointPod RestorePod);
for my $row (
    ['/runtime.v1.RuntimeService/Nothing',      'UNIMPLEMENTED',    qr/Nothing is not known/,   ''],
    ['/grpc.health.v1.Health/Check',            'UNIMPLEMENTED',    qr/not known/,              ''],
    ['/runtime.v1.RuntimeService/Version',      'INTERNAL',         qr/no VersionRequest/,      "\xff"],
    ['/runtime.v1.RuntimeService/StopContainer', 'INVALID_ARGUMENT', qr/not UTF-8/,             "\x0a\x02\xc3\x28"],
    ['/runtime.v1.RuntimeService/Version',      'RESOURCE_EXHAUSTED', qr/16777216 are accepted/, "\x0a" x 16777217],
    ['/runtime.v1.RuntimeService/ExecSync',     'RESOURCE_EXHAUSTED', qr/when unpacked/,        "\x12\0" x 4000000],
  ) {
    my $o = $c->client->finish($c->client->start_raw($row->[0], $row->[3]));
    is $o->{code}, $row->[1], "$row->[0] with " . length($row->[3]) . " bytes: $row->[1]";
    like $o->{message}, $row->[2], '... and says why';
}
my $big = $c->client->start_raw('/runtime.v1.RuntimeService/Version', "\x0a\xfb\xff\xff\x07" . 'v' x 16777211);
is $c->client->finish($big)->{code}, undef, 'a message of 16 MiB is accepted';
is((run('curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '--http2-prior-knowledge', '--unix-socket', $c->{socket}, @{$_->[0]},
    'http://x/runtime.v1.RuntimeService/Version'))[1], $_->[1], "curl @{$_->[0]}: HTTP $_->[1]")
  for [[], 405], [['-d', 'x'], 415], [['-d', 'x', '-H', 'content-type: application/json'], 415];

# ---- odd clients ---------------------------------------------------------------------------------------------------------
sub connection { return IO::Socket::UNIX->new(Peer => $c->{socket}) // die "connect: $!\n" }
$c->leaks_nothing('a crowd of odd clients', sub {
    for my $bytes ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\0" x 4096, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . "\xff" x 64, '') {
        my @crowd = map { connection() } 1 .. 50;
        syswrite $_, $bytes for @crowd;
        close $_ for @crowd;
    }
});
$c->leaks_nothing('three hundred calls at once', sub {
    my @calls = map { $c->client->start('Version') } 1 .. 300;
    is scalar(grep { $c->client->finish($_)->{code} } @calls), 0, 'all of them are answered';
});

# ---- crictl --------------------------------------------------------------------------------------------------------------
SKIP: {
    skip 'crictl is not here (make tools)', 4 if !have('crictl');
    ($rc, $text) = $c->crictl('version');
    is $rc, 0, 'crictl version';
    like $text, qr/RuntimeName:\s+cricket\n/, '... names cricket';
    ($rc, $text) = $c->crictl('info');
    is $rc, 0, 'crictl info';
    like $text, qr/"RuntimeReady"/, '... has the conditions';
}

# ---- a second daemon, stop, crash ----------------------------------------------------------------------------------------
($rc, $text) = run($c->argv);
isnt $rc, 0, 'a second daemon on the same directories is refused';
like $text, qr/another|already/i, '... and says why';
ok $c->call('Version'), 'the first goes on';
$c->stop;
ok !-e $c->{socket}, 'the socket is gone after a stop';
$c->start;
$c->crash;
ok -e $c->{socket}, 'the socket is left after a crash';
$c->start;
ok $c->call('Version'), 'and does not stop the next daemon';

my $idle = connection();
$c->stop;

# ---- nodes that lack something -------------------------------------------------------------------------------------------
unlink glob "$c->{dir}/cni/conf/*";
$c->{config} = {cni => {default_bridge => JSON::PP::false()}};
$c->start;
%condition = map { $_->{type} => $_ } @{$c->call('Status')->{status}{conditions}};
ok !$condition{NetworkReady}{status}, 'no CNI configuration: not NetworkReady';
is $condition{NetworkReady}{reason}, 'NetworkPluginNotReady', '... with the reason that the kubelet knows';
like $condition{NetworkReady}{message}, qr{\Q$c->{dir}\E/cni/conf}, '... and a message that names the directory';
ok $condition{RuntimeReady}{status}, '... but RuntimeReady';
$c->write_cni;
wait_for('the new configuration', sub {
    (grep { $_->{type} eq 'NetworkReady' } @{$c->call('Status')->{status}{conditions}})[0]{status};
});
pass 'a configuration that comes later is seen without a restart';
$c->stop;
done_testing;
