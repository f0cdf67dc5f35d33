# Pods: namespaces, network, files, names, state; each with and without trouble from CNI.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;

my $c = Cricket->new(registry => 1);
my $plugin = $c->fake('cni-plugin', 'faulty', 'bridge');
spew("$c->{dir}/cni/conf/10-test.conflist", slurp("$c->{dir}/cni/conf/10-test.conflist") =~ s/"type" : "bridge"/"type" : "faulty"/r);
$c->{config} = {cni => {bin_dirs => ["$c->{dir}/bin", '/usr/lib/cni', '/opt/cni/bin']}};
$c->start;

sub status { return $c->call('PodSandboxStatus', {pod_sandbox_id => $_[0]})->{status} }
sub listed { return map { $_->{id} } @{$c->call('ListPodSandbox', {filter => $_[0] // {}})->{items}} }

# ---- one pod -------------------------------------------------------------------------------------------------------------
$c->remove_pod($c->run_pod($c->pod_config));    # makes the bridge, which CNI leaves
my $config = $c->pod_config(name => 'web', labels => {app => 'web'}, annotations => {note => "caf\x{e9}"},
    dns_config => {servers => ['10.0.0.10'], searches => ['a.test', 'b.test'], options => ['ndots:5']});
my ($id, $s);
$c->leaks_nothing('a pod', sub {
    $id = $c->run_pod($config);
    like $id, qr/^[0-9a-f]{64}$/, 'RunPodSandbox returns an id';
    $s = status($id);
    is $s->{state}, 'SANDBOX_READY', 'the pod is ready';
    is_deeply [@{$s->{metadata}}{qw(name namespace)}], ['web', 'test'], '... has its metadata';
    is_deeply $s->{labels}, {app => 'web'}, '... its labels';
    is_deeply $s->{annotations}, {note => "caf\x{e9}"}, '... its annotations';
    like $s->{network}{ip}, qr/^10\.231\.0\.\d+$/, '... an address';
    cmp_ok abs($s->{created_at} / 1e9 - time), '<', 10, '... and the time of its making';
    is((run('busybox', 'ping', '-c', 1, '-W', 2, $s->{network}{ip}))[0], 0, 'the address answers');

    is $c->run_pod($config), $id, 'the same metadata again gives the same pod';
    is_deeply [listed()], [$id], 'ListPodSandbox';
    is_deeply [listed($_->[0])], $_->[1], "... filtered by $_->[2]"
      for [{id => $id}, [$id], 'id'], [{id => substr $id, 0, 13}, [$id], 'a prefix of the id'], [{id => 'x'}, [], 'another id'],
      [{label_selector => {app => 'web'}}, [$id], 'label'], [{label_selector => {app => 'db'}}, [], 'another label'],
      [{state => {state => 'SANDBOX_READY'}}, [$id], 'state'], [{state => {state => 'SANDBOX_NOTREADY'}}, [], 'another state'];

    $c->call('StopPodSandbox', {pod_sandbox_id => $id});
    is status($id)->{state}, 'SANDBOX_NOTREADY', 'a stopped pod is not ready';
    is_deeply [listed({state => {state => 'SANDBOX_NOTREADY'}})], [$id], '... and listed as such';
    is $c->call('ListPodSandbox')->{items}[0]{state}, 'SANDBOX_NOTREADY', '... with that state';
    ok $c->call('StopPodSandbox', {pod_sandbox_id => $id}), 'stopping it again is no error';
    $c->call('RemovePodSandbox', {pod_sandbox_id => $id});
    ok $c->call('RemovePodSandbox', {pod_sandbox_id => $id}), 'removing it again is no error';
    ok $c->call('StopPodSandbox', {pod_sandbox_id => $id}), 'stopping a removed one is no error';
    $c->fails_with('NOT_FOUND', qr/\Q$id\E/, 'PodSandboxStatus', {pod_sandbox_id => $id});
});
$c->leaks_nothing('removing a pod that runs', sub {
    my $running = $c->run_pod($c->pod_config);
    $c->call('RemovePodSandbox', {pod_sandbox_id => $running});
});
$c->leaks_nothing('twenty pods at once', sub {
    my @calls = map { $c->client->start('RunPodSandbox', {config => $c->pod_config}) } 1 .. 20;
    my @ids = map { my $o = $c->client->finish($_); $o->{reply}{pod_sandbox_id} // diag $o->{message} } @calls;
    my %addresses = map { status($_)->{network}{ip} => 1 } @ids;
    is scalar keys %addresses, 20, 'each has its own address';
    $c->client->finish($_) for map { $c->client->start('StopPodSandbox', {pod_sandbox_id => $_}) } @ids;
    $c->client->finish($_) for map { $c->client->start('RemovePodSandbox', {pod_sandbox_id => $_}) } @ids;
});

# ---- namespaces ----------------------------------------------------------------------------------------------------------
$c->leaks_nothing('a pod on the host\'s network', sub {
    my $host = $c->run_pod($c->pod_config(host_network => 1));
    is status($host)->{network}{ip} // '', '', 'has no address of its own';
    is status($host)->{linux}{namespaces}{options}{network}, 'NODE', '... and says so';
    $c->remove_pod($host);
});
$c->pull;
$c->leaks_nothing('a pod with a shared PID namespace', sub {
    my $shared_config = $c->pod_config(pid => 'POD');
    my $shared = $c->run_pod($shared_config);
    is status($shared)->{linux}{namespaces}{options}{pid}, 'POD', 'says so';
    my %in_pod = (linux => {security_context => {namespace_options => {pid => 'POD'}}});
    $c->run_container($shared, $shared_config, $c->container_config('sleep 1001 & wait', %in_pod));
    my $id = $c->run_container($shared, $shared_config, $c->container_config('sleep 1002 & wait', %in_pod));
    # a runtime's "run" may return before the process has begun its program
    my $ps = wait_for('the processes to run', sub {
        my (undef, $text) = $c->exec_sync($id, 'ps');
        return $text =~ /^ *1 .*pause/m && $text =~ /sleep 1001.*sleep 1002/s && $text;
    });
    like $ps, qr/^ *1 .*pause/m, '... has an infra container as PID 1';
    like $ps, qr/sleep 1001.*sleep 1002/s, '... and its containers see one another';
    $c->remove_pod($shared);
    unlink glob "$shared_config->{log_directory}/*";
});
$c->leaks_nothing('a pod with sysctls', sub {
    my $tuned = $c->run_pod($c->pod_config(linux => {sysctls => {'net.ipv4.ip_local_port_range' => '20000 20010'}}));
    ok $tuned, 'starts';
    $c->remove_pod($tuned);
});

# ---- what must fail ------------------------------------------------------------------------------------------------------
for my $row (
    ['no configuration',  {},                                                  'INVALID_ARGUMENT', qr/config/],
    ['no metadata',       {config => {hostname => 'x'}},                       'INVALID_ARGUMENT', qr/metadata/],
    ['no name',           {config => $c->pod_config(name => '')},              'INVALID_ARGUMENT', qr/name/],
    ['unknown handler',   {config => $c->pod_config, runtime_handler => 'kata9'}, undef,           qr/kata9.*(crun|runc)/s],
    ['unknown sysctl',    {config => $c->pod_config(linux => {sysctls => {'net.no.such' => '1'}})}, undef, qr/net\.no\.such/],
    ["a host's sysctl",   {config => $c->pod_config(linux => {sysctls => {'vm.swappiness' => '1'}})}, undef, qr/vm\.swappiness/],
    ['a long hostname',   {config => $c->pod_config(hostname => 'h' x 65)},    undef,              qr/hostname|host name/i],
  ) {
    my ($what, $request, $code, $message) = @$row;
    $c->leaks_nothing("a pod with $what", sub {
        my $e = $c->fails('RunPodSandbox', $request);
        like $e->{message}, $message, "$what fails and says why ($e->{code})" or diag $e->{message};
        is $e->{code}, $code, '... with the code' if $code;
    });
}

# ---- trouble from CNI ----------------------------------------------------------------------------------------------------
for my $action (qw(error error-after fail fail-after die die-after garbage empty flood)) {
    my $faulty = $c->pod_config;
    $c->set_faults($plugin, ADD => $action);
    $c->leaks_nothing("ADD: $action", sub {
        my $e = $c->fails('RunPodSandbox', {config => $faulty});
        like $e->{message}, qr/faulty|testnet/, "the plugin is named ($e->{code})" or diag $e->{message};
        like $e->{message}, qr/try again later/, '... and its own words are there' if $action =~ /^error/;
        $c->set_faults($plugin);
        $c->remove_pod($c->run_pod($faulty));
    });
}
$c->set_faults($plugin, ADD => 'hang');
$c->leaks_nothing('a client that does not wait for ADD', sub {
    my $slow = $c->pod_config;
    my $e = $c->fails('RunPodSandbox', {config => $slow}, timeout => 1);
    is $e->{code}, 'DEADLINE_EXCEEDED', 'its deadline passes';
    $c->set_faults($plugin);
    $c->end_hanging;
    $c->remove_pod(wait_for('the retry', sub { eval { $c->run_pod($slow) } }));
});
my $stuck = $c->run_pod($c->pod_config);
$c->set_faults($plugin, DEL => 'fail');
like $c->fails('StopPodSandbox', {pod_sandbox_id => $stuck})->{message}, qr/DEL|faulty/, 'a DEL that fails is told';
$c->set_faults($plugin);
$c->remove_pod($stuck);
pass 'and the next try works';

# ---- crictl --------------------------------------------------------------------------------------------------------------
SKIP: {
    skip 'crictl is not here (make tools)', 5 if !have('crictl');
    spew("$c->{dir}/pod.json", $c->crictl_json($c->pod_config(name => 'viacrictl')));
    my ($rc, $text) = $c->crictl('runp', "$c->{dir}/pod.json");
    is $rc, 0, 'crictl runp' or diag $text;
    my ($pod) = $text =~ /^([0-9a-f]{64})$/m;
    for my $row (['pods'], ['inspectp', $pod], ['stopp', $pod], ['rmp', $pod]) {
        ($rc, $text) = $c->crictl(@$row);
        is $rc, 0, "crictl @$row" or diag $text;
    }
}
$c->stop;
done_testing;
