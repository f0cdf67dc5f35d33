# cribench on cricketd: it counts what it should, its results are whole, and what fails is counted as failed.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;

my $c = Cricket->new(registry => 1, config => {log_level => 'info'});
$c->start;
$c->pull;
$c->remove_pod($c->run_pod($c->pod_config));    # the bridge stays, and CNI's files
my $json = "$c->{dir}/out.json";

sub cribench {
    unlink $json;
    my ($rc, $text) = run("$Cricket::BUILD/cribench", '--endpoint', "unix://$c->{socket}", '--runtime-pids', $c->{daemon_pid},
        '--work', "$c->{dir}/work", '--cgroup-parent', "/$c->{cgroup}", '--image', $Cricket::BUSYBOX, '--root', $c->{root}, '--state', $c->{state},
        '--json', $json, @_);
    my $result = eval { JSON::PP->new->decode(slurp($json) // '') };
    diag $text if $rc && !$result;
    return ($rc, $result, $text);
}

sub series {
    my ($result, $scenario) = @_;
    return {map { $_->{name} => $_ } @{$result->{scenarios}{$scenario}{series}}};
}

$c->leaks_nothing('cribench', sub {
    my ($rc, $result) = cribench('--count', 3, '--callers', 2, '--quick', 'pod', 'container', 'start');
    is $rc, 0, 'cribench runs';
    like $result->{runtime}, qr/^cricket /, 'it names the runtime';
    my ($pod, $container, $start) = map { series($result, $_) } qw(pod container start);
    for my $name (map { ("$_, bridge", "$_, host network") } qw(RunPodSandbox StopPodSandbox RemovePodSandbox)) {
        is $pod->{$name}{count}, 3, "$name: three samples";
        is $pod->{$name}{errors}, 0, '... and no error';
    }
    is $container->{$_}{count}, 3, "$_: three samples" for 'CreateContainer', 'StartContainer', 'CreateContainer + StartContainer', 'StopContainer + RemoveContainer';
    is $start->{'pod with a container, to running, bridge'}{count}, 3, 'pods with containers: three samples';
    my $sum = $container->{'CreateContainer + StartContainer'};
    cmp_ok $sum->{p50}, '>', $container->{StartContainer}{p50}, 'two calls take longer than one of them';
    cmp_ok $sum->{max}, '>=', $sum->{p50}, 'the largest is not below the median';
    my @sorted = sort { $a <=> $b } @{$sum->{samples}};
    is $sum->{p50}, $sorted[1], 'the median of three is the second';
    unlink glob "$c->{dir}/work/logs/*";
});

{
    my ($rc, $result) = cribench('--count', 10, '--callers', 4, '--quick', 'exec', '--seconds', 1);
    my $exec = series($result, 'exec');
    is $rc, 0, 'probes run';
    is $exec->{ExecSync}{count}, 10, 'ten commands, one after another';
    is $exec->{'ExecSync, 20 a second'}{count}, 20, 'twenty in a second';
    cmp_ok $exec->{'CPU of one ExecSync, 20 a second'}{p50}, '>=', 0, 'they have a cost in CPU';
}
{
    my ($rc, $result) = cribench('--quick', '--count', 10, '--pods', 10, 'rpc');
    my $rpc = series($result, 'rpc');
    is $rpc->{$_}{count}, 10, "$_: ten samples" for 'Version', 'ListContainers, 10 pods', 'ContainerStatus, 10 pods, 10 callers';
    is $rpc->{$_}{errors}, 0, "$_: no error" for 'Version', 'ListContainers, 10 pods', 'ContainerStatus, 10 pods, 10 callers';
    my ($svg_rc, $svg) = run("$Cricket::BUILD/cribench", 'plot', $json, $json);
    is $svg_rc, 0, 'the results can be drawn';
    like $svg, qr{^<svg .*rpc: Version.*</svg>$}s, '... as SVG with a panel for Version';
}

# what fails
{
    my ($rc, $result) = cribench('--image', "$Cricket::REGISTRY/test/nowhere:1", '--count', 2, '--quick', 'container', 'pod');
    isnt $rc, 0, 'a scenario that fails fails the whole';
    my $failed = series($result, 'container')->{container};
    is $failed->{errors}, 1, 'it stands in the results under its name';
    like $failed->{error}, qr/CreateContainer.*nowhere/, '... with the runtime\'s words';
    is series($result, 'pod')->{'RunPodSandbox, bridge'}{count}, 2, 'the next scenario runs all the same';
}
$c->leaks_nothing('pods whose network cannot be made', sub {
    my $conf = "$c->{dir}/cni/conf/10-test.conflist";
    my $good = slurp($conf);
    spew($conf, $good =~ s/"type" : "portmap"/"type" : "no-such-plugin"/r);
    my ($rc, $result) = cribench('--count', 2, '--quick', 'pod');
    isnt $rc, 0, 'cribench fails when no pod can be made';
    like series($result, 'pod')->{pod}{error}, qr/no-such-plugin/, '... and says why';
    spew($conf, $good);
});
my ($rc, undef, $text) = cribench('no-such-scenario');
is $rc, 1, 'a scenario that does not exist is refused';
like $text, qr/no-such-scenario: there is none/, '... by name';
($rc, undef, $text) = run("$Cricket::BUILD/cribench", '--endpoint', "unix://$c->{dir}/nothing.sock", '--work', "$c->{dir}/work", 'rpc');
is $rc, 1, 'a socket where nobody listens is an error';
$c->stop;
done_testing;
