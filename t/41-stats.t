# Statistics: numbers that move with what containers do, lists and their filters, pods, restarts, objects that go away.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;

my $c = Cricket->new(registry => 1);
$c->start;
$c->pull;
my $pod_config = $c->pod_config(name => 'main', labels => {app => 'main'}, annotations => {note => 'pod'});
my $pod = $c->run_pod($pod_config);

sub container { return $c->run_container($pod, $pod_config, $c->container_config(@_)) }
sub remove    { $c->call('RemoveContainer', {container_id => $_}) for @_ }
sub stats     { return $c->call('ContainerStats', {container_id => $_[0]})->{stats} }
sub pod_stats { return $c->call('PodSandboxStats', {pod_sandbox_id => $_[0]})->{stats} }
sub listed      { return sort map { $_->{attributes}{id} } @{$c->call('ListContainerStats', {filter => $_[0] // {}})->{stats} // []} }
sub listed_pods { return sort map { $_->{attributes}{id} } @{$c->call('ListPodSandboxStats', {filter => $_[0] // {}})->{stats} // []} }
sub value     { return $_[0] && $_[0]{value} // 0 }
sub cpu       { return value(stats($_[0])->{cpu}{usage_core_nano_seconds}) }

remove(container('true'));    # makes the pod's cgroups in every hierarchy

# ---- one container -------------------------------------------------------------------------------------------------------
$c->leaks_nothing('statistics of a container', sub {
    my $config = $c->container_config('trap "while :; do :; done" USR1; sleep 100000 & wait; wait', labels => {app => 'web'},
        annotations => {note => 'here'}, name => 'busy', linux => {resources => {memory_limit_in_bytes => 200 << 20}});
    my $id = $c->run_container($pod, $pod_config, $config);
    my $s = stats($id);
    is $s->{attributes}{id}, $id, 'the id';
    is $s->{attributes}{metadata}{name}, 'busy', 'the name';
    is_deeply [@{$s->{attributes}}{qw(labels annotations)}], [{app => 'web'}, {note => 'here'}], 'labels and annotations';
    cmp_ok abs($s->{$_}{timestamp} / 1e9 - time), '<', 10, "the time of $_" for qw(cpu memory);
    cmp_ok value($s->{cpu}{usage_core_nano_seconds}), '>', 100_000, 'CPU time since the start';
    ok !$s->{cpu}{usage_nano_cores}, '... and no rate after one look';
    my ($used, $set, $available) = map { value($s->{memory}{$_}) } qw(usage_bytes working_set_bytes available_bytes);
    cmp_ok $used, '>', 10_000, 'memory in use';
    cmp_ok $set, '<=', $used, '... the working set is a part of it';
    is $available + $set, 200 << 20, '... and the rest of the limit is available';
    cmp_ok value($s->{memory}{page_faults}), '>', 10, 'page faults';

    my $before = cpu($id);
    my ($shell) = $c->processes_of($id, qr/^sh /);
    kill USR1 => $shell;
    wait_for('CPU time to grow', sub { cpu($id) > $before + 300_000_000 });
    my $cores = wait_for('a rate', sub { (stats($id)->{cpu}{usage_nano_cores} // return)->{value} });
    cmp_ok $cores, '<', 1.2e9, 'one busy shell is one core at most';
    cmp_ok wait_for('a rate of work', sub { my $r = value(stats($id)->{cpu}{usage_nano_cores}); $r > 1e8 && $r }), '>', 1e8, '... and it works';
    remove($id);
});

$c->leaks_nothing('memory and the writable layer', sub {
    my $id = container('sleep 100000');
    $c->exec_sync($id, 'sh', '-c', 'mkdir /data; dd if=/dev/zero of=/data/a bs=1M count=5; ln /data/a /data/b; dd if=/dev/zero of=/dev/shm/m bs=1M count=20');
    my $layer = wait_for('the writable layer to be walked', sub { stats($id)->{writable_layer} });
    is $layer->{fs_id}{mountpoint}, $c->{root}, 'where the writable layer is';
    cmp_ok value($layer->{used_bytes}), '>=', 5 << 20, 'a file of 5 MiB counts';
    cmp_ok value($layer->{used_bytes}), '<', 6 << 20, '... once, though it has two names';
    cmp_ok value($layer->{inodes_used}), '>=', 3, 'the root, a directory and a file';
    cmp_ok value($layer->{inodes_used}), '<=', 20, '... and the mount points';
    cmp_ok value(stats($id)->{memory}{usage_bytes}), '>=', 20 << 20, 'memory of 20 MiB in /dev/shm counts';
    $c->exec_sync($id, 'rm', '/dev/shm/m');
    remove($id);
});

# ---- lists ---------------------------------------------------------------------------------------------------------------
$c->leaks_nothing('lists', sub {
    my @ids = sort map { container('sleep 100000', labels => {n => "$_", all => 'yes'}) } 1, 2;
    my ($first) = grep { stats($_)->{attributes}{labels}{n} == 1 } @ids;
    my $created = $c->create_container($pod, $pod_config, $c->container_config('true'));
    my $ended = container('exit 0');
    $c->wait_exited($ended);
    is_deeply [listed()], \@ids, 'those that run';
    is_deeply [listed($_->[0])], $_->[1], "... filtered by $_->[2]"
      for [{id => $first}, [$first], 'id'], [{id => substr $first, 0, 13}, [$first], 'a prefix of the id'],
          [{pod_sandbox_id => $pod}, \@ids, 'pod'], [{pod_sandbox_id => 'x'}, [], 'another pod'],
          [{label_selector => {n => '1'}}, [$first], 'label'], [{label_selector => {all => 'yes'}}, \@ids, 'a common label'],
          [{id => $first, label_selector => {n => '2'}}, [], 'what does not go together'];
    is stats(substr $first, 0, 12)->{attributes}{id}, $first, 'ContainerStats takes a prefix';
    $c->fails_with('NOT_FOUND', qr/nothing-like-it/, 'ContainerStats', {container_id => 'nothing-like-it'});
    $c->fails_with('INVALID_ARGUMENT', qr/empty/, 'ContainerStats', {});
    $c->fails_with('FAILED_PRECONDITION', qr/not running/, 'ContainerStats', {container_id => $_}) for $created, $ended;
    remove(@ids, $created, $ended);
});
is_deeply [listed()], [], 'no container, no statistics';

# ---- pods ----------------------------------------------------------------------------------------------------------------
$c->leaks_nothing('statistics of pods', sub {
    my $id = container('httpd -f -p 80 -h /tmp & sleep 100000');
    my $s = pod_stats($pod);
    is $s->{attributes}{id}, $pod, 'the id';
    is $s->{attributes}{metadata}{name}, 'main', 'the name';
    is_deeply [@{$s->{attributes}}{qw(labels annotations)}], [{app => 'main'}, {note => 'pod'}], 'labels and annotations';
    my $linux = $s->{linux};
    cmp_ok value($linux->{cpu}{usage_core_nano_seconds}), '>=', value($linux->{containers}[0]{cpu}{usage_core_nano_seconds}) / 2, 'CPU time';
    cmp_ok value($linux->{memory}{usage_bytes}), '>', 10_000, 'memory';
    cmp_ok value($linux->{process}{process_count}), '>=', 2, 'processes';
    is_deeply [map { $_->{attributes}{id} } @{$linux->{containers}}], [$id], 'its containers';
    is $linux->{network}{default_interface}{name}, 'eth0', 'its network';

    my $received = value($linux->{network}{default_interface}{rx_bytes});
    my $ip = $c->call('PodSandboxStatus', {pod_sandbox_id => $pod})->{status}{network}{ip};
    run('busybox', 'ping', '-c', 3, '-s', 8000, $ip);
    cmp_ok value(pod_stats($pod)->{linux}{network}{default_interface}{rx_bytes}), '>=', $received + 24000, '24 kB more have come in';

    my $other_config = $c->pod_config(host_network => 1, labels => {app => 'other'});
    my $other = $c->run_pod($other_config);
    ok !pod_stats($other)->{linux}{network}, 'a pod on the host\'s network has no counters of its own';
    ok !@{pod_stats($other)->{linux}{containers} // []}, '... and this one no containers';
    is_deeply [listed_pods($_->[0])], [sort @{$_->[1]}], "ListPodSandboxStats: $_->[2]"
      for [{}, [$pod, $other], 'all'], [{id => $other}, [$other], 'id'], [{id => substr $other, 0, 13}, [$other], 'a prefix'],
          [{label_selector => {app => 'main'}}, [$pod], 'label'], [{id => $pod, label_selector => {app => 'other'}}, [], 'neither'];
    $c->call('StopPodSandbox', {pod_sandbox_id => $other});
    is_deeply [listed_pods()], [$pod], 'one that is stopped is left out';
    $c->fails_with('FAILED_PRECONDITION', qr/not ready/, 'PodSandboxStats', {pod_sandbox_id => $other});
    $c->fails_with('NOT_FOUND', qr/nothing-like-it/, 'PodSandboxStats', {pod_sandbox_id => 'nothing-like-it'});
    $c->remove_pod($other);
    remove($id);
});

# ---- trouble -------------------------------------------------------------------------------------------------------------
$c->leaks_nothing('containers that go away under a list', sub {
    my @ids = map { container('sleep 100000') } 1 .. 8;
    my @calls = map { $c->client->start($_, {}) } map { ('ListContainerStats', 'ListPodSandboxStats') } 1 .. 20;
    my @removals = map { $c->client->start('RemoveContainer', {container_id => $_}) } @ids;
    push @calls, map { $c->client->start($_, {}) } map { ('ListContainerStats', 'ListPodSandboxStats') } 1 .. 20;
    my @bad = grep { !$_->{reply} } map { $c->client->finish($_) } @calls;
    ok !@bad, 'no list fails' or diag explain $bad[0];
    $c->client->finish($_) for @removals;
});
$c->leaks_nothing('clients that go away', sub {
    my $id = container('sleep 100000');
    my $client = Cricket::Client->new($c->{socket}, "$Cricket::TOOLS/py");
    my @calls = map { $client->start($_, {}) } map { ('ListContainerStats', 'ListPodSandboxStats') } 1 .. 20;
    $client->finish($calls[0]);
    $client->close;
    is_deeply [listed()], [$id], 'the next one is answered';
    remove($id);
});

$c->leaks_nothing('a network that cannot be entered', sub {
    my $lost = $c->run_pod($c->pod_config);
    my $pin = "$c->{state}/pods/$lost/ns/net";
    is((run('mount', '--bind', '/dev/null', $pin))[0], 0, 'a pin that is none');
    my ($s) = @{$c->call('ListPodSandboxStats', {filter => {id => $lost}})->{stats}};
    ok $s->{linux}{memory}, 'the rest is answered';
    ok !$s->{linux}{network}{default_interface}, '... without counters';
    is pod_stats($pod)->{linux}{network}{default_interface}{name}, 'eth0', '... and other pods have theirs';
    run('umount', $pin);
    $c->remove_pod($lost);
});

my $kept = container('sleep 100000');
my $time = cpu($kept);
$c->crash;
$c->start;
cmp_ok cpu($kept), '>=', $time, 'after a restart the counters go on';
is_deeply [listed_pods()], [$pod], '... and pods have theirs';
is $c->call('PodSandboxStats', {pod_sandbox_id => $pod})->{stats}{linux}{network}{default_interface}{name}, 'eth0', '... with a network';

SKIP: {
    skip 'crictl is not there (it needs go)', 3 if !have('crictl');
    my ($status, $text) = $c->crictl('stats');
    is $status, 0, 'crictl stats';
    like $text, qr/^\Q${\ substr $kept, 0, 13}\E\s/m, '... shows the container';
    like +($c->crictl('statsp'))[1], qr/^main\s+\Q${\ substr $pod, 0, 13}\E\s/m, 'crictl statsp shows the pod';
}
remove($kept);
$c->remove_pod($pod);
$c->stop;
done_testing;
