# Exec, Attach and PortForward with the client libraries of kubectl, kubelets and crictl. Run by `make check-streaming`, which
# builds the client; the checks are its own, what stays behind is looked at here.
use FindBin; BEGIN { $FindBin::Bin .= '/../..' }
use lib "$FindBin::Bin/lib";
use Cricket;

my $CLIENT = "$Cricket::TOOLS/tools/streaming/client";
plan skip_all => 'the client needs go to be built' if !-x $CLIENT;

my $c = Cricket->new(registry => 1);
$c->start;
$c->pull;
my $IN_CONTAINER = {host_path => "$Cricket::TOOLS/tools/streaming", container_path => '/client', readonly => JSON::PP::true};

# A part of the client's: each of its checks is one of ours.
sub part {
    my ($part, @options) = @_;
    my ($rc, $text) = run($CLIENT, '-socket', $c->{socket}, @options, $part);
    my $checks = 0;
    for (split /\n/, $text) {
        $checks++, ok(!$1, $2), next if /^(not )?ok - (.*)/;
        diag $_;
    }
    ok $rc == 0 && $checks > 0, "$part: exit status $rc after $checks checks";
}

my $config = $c->pod_config;
my $pod = $c->run_pod($config);

sub container {
    my ($script, %o) = @_;
    return $c->run_container($pod, $config, $c->container_config($script, %o));
}

sub remove { $c->call('RemoveContainer', {container_id => $_[0]}) }

my $server = container('exec /client/client -port 7000 serve', mounts => [$IN_CONTAINER]);
my $target = container('sleep 100000; true');    # a shell: it reaps what commands leave behind
$c->exec_sync($target, 'touch', '/tmp/x');    # makes /tmp of its own layer, for good
$c->exec_sync($target, 'rm', '/tmp/x');
# libuv opens a descriptor for good with the first connection
run('curl', '-s', $c->call('Exec', {container_id => $target, cmd => ['true'], stdout => JSON::PP::true})->{url});

$c->leaks_nothing('exec', sub { part('exec', '-container', $target) });
$c->leaks_nothing('every version', sub { part('versions', '-container', $target, '-pod', $pod) });
$c->leaks_nothing('port-forward', sub { part('forward', '-pod', $pod) });

my $cat = container('exec cat', stdin => JSON::PP::true);
$c->leaks_nothing('attach', sub { part('attach', '-container', $cat) });
remove($cat);
for my $transport (0 .. 2) {
    my $once = container('cat; echo over', stdin => JSON::PP::true, stdin_once => JSON::PP::true);
    part('attach-once', '-container', $once, '-transport', $transport);
    is $c->wait_exited($once)->{exit_code}, 0, 'the container has ended with its stdin';
    remove($once);
}
my $shell = container('exec sh', stdin => JSON::PP::true, tty => JSON::PP::true);
part('attach-tty', '-container', $shell);
is $c->wait_exited($shell)->{exit_code}, 0, 'the shell was left by its last client';
remove($shell);

my $host_config = $c->pod_config(host_network => 1);
my $host = $c->run_pod($host_config);
$c->run_container($host, $host_config, $c->container_config('exec /client/client -port 7500 serve', mounts => [$IN_CONTAINER]));
$c->leaks_nothing('port-forward to the host\'s network', sub { part('forward', '-pod', $host, '-port', 7500) });

$c->remove_pod($_) for $host, $pod;
$c->stop;
done_testing;
