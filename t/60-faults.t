# Every verb of the runtime, and every kind of trouble: nothing is left, and the retry with the same metadata works.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;
use Time::HiRes ();

my $c = Cricket->new(registry => 1);
my $runtime = $c->fake('runtime', 'faulty', 'crun');
$c->{config} = {handlers => [{name => 'faulty', path => $runtime}, {name => 'crun', path => 'crun'}], default_handler => 'faulty',
                containers => {exec => 'runtime'}};    # by plan, its exec would not be called
$c->start;
$c->pull;

my $pod_config = $c->pod_config(name => 'main');
my $pod = $c->run_pod($pod_config);

sub create { return {pod_sandbox_id => $pod, sandbox_config => $pod_config, config => $_[0]} }
sub remove { $c->call('RemoveContainer', {container_id => $_[0]}) }

# A container that could not be made or started is removed by the kubelet, if it has an id; then the same is tried again.
sub retry {
    my ($config, $id) = @_;
    $c->set_faults($runtime);
    remove($id) if $id;
    $id = $c->run_container($pod, $pod_config, $config);
    is $c->wait_exited($id)->{exit_code}, 0, '... and the retry works';
    remove($id);
    unlink glob "$pod_config->{log_directory}/*";
}

retry($c->container_config('true'));    # the runtime makes the pod's cgroup in every hierarchy with the first container

# "run" is create and start in one, at StartContainer; "delete" is asked for when the process has ended.
for my $action (qw(fail fail-after die die-after garbage)) {
    my $config = $c->container_config('true');
    $c->leaks_nothing("run: $action", sub {
        $c->set_faults($runtime, run => $action);
        my $id = $c->create_container($pod, $pod_config, $config);
        my $o = $c->client->finish($c->client->start('StartContainer', {container_id => $id}));
        ok $o->{code}, "run: $action is an error (" . ($o->{code} // 'none') . ': ' . ($o->{message} // '') . ')';
        like $o->{message} // '', qr/fake runtime: run fails/, '... with its own words' if $action =~ /^fail/;
        retry($config, $id);
    });
}
for my $action (qw(fail fail-after die die-after garbage)) {
    my $config = $c->container_config('sleep 1000');
    $c->leaks_nothing("delete: $action", sub {
        my $id = $c->run_container($pod, $pod_config, $config);
        $c->set_faults($runtime, delete => $action);
        $c->client->finish($c->client->start('StopContainer', {container_id => $id, timeout => 0}));
        my $o = $c->client->finish($c->client->start('RemoveContainer', {container_id => $id}));
        is !$o->{code}, $action =~ /after/ ? 1 : '', "delete: $action: RemoveContainer says " . ($o->{message} // 'nothing');
        $c->set_faults($runtime);
        remove($id);
        unlink glob "$pod_config->{log_directory}/*";
    });
}
{
    my $id = $c->run_container($pod, $pod_config, $c->container_config('sleep 1000'));
    for my $action (qw(fail die garbage)) {
        $c->leaks_nothing("exec: $action", sub {
            $c->set_faults($runtime, exec => $action);
            my $o = $c->client->finish($c->client->start('ExecSync', {container_id => $id, cmd => ['true'], timeout => 5}));
            ok $o->{code} || $o->{reply}, "exec: $action is answered";
            $c->set_faults($runtime);
            is +($c->exec_sync($id, 'echo', 'on'))[1], "on\n", '... and the next one works';
        });
    }
    $c->leaks_nothing('exec: hang', sub {
        $c->set_faults($runtime, exec => 'hang');
        $c->fails_with('DEADLINE_EXCEEDED', qr/./, 'ExecSync', {container_id => $id, cmd => ['true'], timeout => 1});
        $c->set_faults($runtime);
    });
    remove($id);
    unlink glob "$pod_config->{log_directory}/*";
}

# ---- a client that goes while the runtime hangs --------------------------------------------------------------------------
for my $way ('cancel', 'deadline') {
    my $config = $c->container_config('true');
    $c->leaks_nothing("run hangs, and the client's way is: $way", sub {
        $c->set_faults($runtime, run => 'hang');
        my $id = $c->create_container($pod, $pod_config, $config);
        my $call = $c->client->start('StartContainer', {container_id => $id}, $way eq 'deadline' ? (timeout => 1) : ());
        wait_for('the runtime', sub { $c->hanging });
        $c->client->cancel($call) if $way eq 'cancel';
        is $c->client->finish($call)->{code}, $way eq 'cancel' ? 'CANCELLED' : 'DEADLINE_EXCEEDED', "run: $way";
        $c->set_faults($runtime);
        $c->end_hanging;
        wait_for('the retry', sub { eval { retry($config, $id); 1 } });
    });
}

# ---- the daemon is killed at each step -----------------------------------------------------------------------------------
my $before = $c->settled;
for my $row ([StartContainer => 'run'], [StopContainer => 'delete'], [RemoveContainer => 'delete']) {
    my ($method, $verb) = @$row;
    for my $action ('hang', 'hang-after') {
        my $config = $c->container_config('sleep 1000');
        my $id = $c->create_container($pod, $pod_config, $config);
        $c->call('StartContainer', {container_id => $id}) if $method ne 'StartContainer';
        $c->set_faults($runtime, $verb => $action);
        $c->client->start($method, {container_id => $id, $method eq 'StopContainer' ? (timeout => 0) : ()});
        wait_for('the runtime', sub { $c->hanging });
        $c->crash;
        $c->end_hanging;
        $c->set_faults($runtime);
        $c->start;
        my ($found) = grep { $_->{id} eq $id } @{$c->call('ListContainers')->{containers}};
        remove($id) if $found;
        $id = $c->run_container($pod, $pod_config, $config);
        remove($id);
        unlink glob "$pod_config->{log_directory}/*";
        $c->is_as_before($before, "a daemon killed in $method while $verb has to $action", but => qr/ descriptor /);
    }
}

# ---- the daemon is killed at each step of a pod --------------------------------------------------------------------------
# The kill falls a few milliseconds later in each round, so that all of the steps are hit.
for my $round (1 .. 12) {
    my $config = $c->pod_config(name => "crash$round");
    my $call = $c->client->start('RunPodSandbox', {config => $config});
    Time::HiRes::sleep(0.004 * $round);    # not a wait: where the kill falls is the point
    $c->crash;
    $c->start;
    my $id = $c->run_pod($config);
    is $c->call('PodSandboxStatus', {pod_sandbox_id => $id})->{status}{state}, 'SANDBOX_READY', "the same pod after a kill ($round)";
    $call = $c->client->start($round % 2 ? 'StopPodSandbox' : 'RemovePodSandbox', {pod_sandbox_id => $id});
    Time::HiRes::sleep(0.004 * $round);
    $c->crash;
    $c->start;
    $c->remove_pod($id);
    rmdir $config->{log_directory};
    $c->is_as_before($before, "a daemon killed in the life of a pod ($round)", but => qr/ descriptor /);
}
$c->remove_pod($pod);
# ---- a new daemon asks its runtimes --------------------------------------------------------------------------------------
$c->set_faults($runtime, features => 'hang');
$c->stop;
$c->start;
ok $c->call('Version'), 'Version is answered while a runtime has not told what it can do';
is $c->client->finish($c->client->start('Status', {}, timeout => 0.4))->{code}, 'DEADLINE_EXCEEDED', '... and Status waits';
ok $c->call('Status')->{status}, '... for a second, and is answered then';
wait_for('the question', sub { $c->hanging });
$c->end_hanging;
ok wait_for('the answer', sub { grep { $_->{name} eq 'faulty' } @{$c->call('Status')->{runtime_handlers}} }), 'what it can do is known, or known not to be';
$c->stop;
done_testing;
