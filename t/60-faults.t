# Every verb of the runtime, and every kind of trouble: nothing is left, and the retry with the same metadata works.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;

my $c = Cricket->new(registry => 1);
my $runtime = $c->fake('runtime', 'faulty', 'crun');
$c->{config} = {handlers => [{name => 'faulty', path => $runtime}, {name => 'crun', path => 'crun'}], default_handler => 'faulty'};
$c->start;
$c->pull;
$c->remove_pod($c->run_pod($c->pod_config));

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

for my $action (qw(fail fail-after die die-after garbage)) {
    my $config = $c->container_config('true');
    $c->leaks_nothing("create: $action", sub {
        $c->set_faults($runtime, create => $action);
        my $o = $c->client->finish($c->client->start('CreateContainer', create($config)));
        my $id = $o->{reply}{container_id};
        $o = $c->client->finish($c->client->start('StartContainer', {container_id => $id})) if $id;
        ok $o->{code}, "create: $action is an error ($o->{code}: $o->{message})";
        like $o->{message}, qr/fake runtime: create fails/, '... with its own words' if $action =~ /^fail/;
        retry($config, $id);
    });
}
for my $action (qw(fail fail-after die die-after garbage)) {
    my $config = $c->container_config('true');
    $c->leaks_nothing("start: $action", sub {
        $c->set_faults($runtime, start => $action);
        my $id = $c->create_container($pod, $pod_config, $config);
        my $o = $c->client->finish($c->client->start('StartContainer', {container_id => $id}));
        ok $o->{code} || $action eq 'garbage', "start: $action is an error";
        retry($config, $id);
    });
}
for my $verb (qw(kill delete)) {
    for my $action (qw(fail die)) {
        my $config = $c->container_config('sleep 1000');
        $c->leaks_nothing("$verb: $action", sub {
            my $id = $c->run_container($pod, $pod_config, $config);
            $c->set_faults($runtime, $verb => $action);
            $c->client->finish($c->client->start('StopContainer', {container_id => $id, timeout => 0}));
            $c->client->finish($c->client->start('RemoveContainer', {container_id => $id}));
            $c->set_faults($runtime);
            $c->call('StopContainer', {container_id => $id, timeout => 0});
            remove($id);
            unlink glob "$pod_config->{log_directory}/*";
        });
    }
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
for my $verb (qw(create start)) {
    for my $way ('cancel', 'deadline') {
        my $config = $c->container_config('true');
        $c->leaks_nothing("$verb hangs, and the client's way is: $way", sub {
            $c->set_faults($runtime, $verb => 'hang');
            my $id = $verb eq 'start' ? $c->create_container($pod, $pod_config, $config) : undef;
            my @call = $verb eq 'start' ? ('StartContainer', {container_id => $id}) : ('CreateContainer', create($config));
            unlink "$runtime.log";
            my $call = $c->client->start(@call, $way eq 'deadline' ? (timeout => 1) : ());
            wait_for('the runtime', sub { (slurp("$runtime.log") // '') =~ /^$verb$/m });
            $c->client->cancel($call) if $way eq 'cancel';
            is $c->client->finish($call)->{code}, $way eq 'cancel' ? 'CANCELLED' : 'DEADLINE_EXCEEDED', "$verb: $way";
            $c->set_faults($runtime);
            $c->end_hanging;
            wait_for('the retry', sub { eval { retry($config, $id); 1 } });
        });
    }
}

# ---- the daemon is killed at each step -----------------------------------------------------------------------------------
my $before = Cricket::Leaks::take($c);
for my $row ([CreateContainer => 'create'], [StartContainer => 'start'], [StopContainer => 'kill'], [RemoveContainer => 'delete']) {
    my ($method, $verb) = @$row;
    for my $action ('hang', 'hang-after') {
        my $config = $c->container_config('sleep 1000');
        my $id;
        my $request;
        if ($method eq 'CreateContainer') {
            $request = create($config);
        } else {
            $id = $c->create_container($pod, $pod_config, $config);
            $c->call('StartContainer', {container_id => $id}) if $method ne 'StartContainer';
            $c->call('StopContainer', {container_id => $id, timeout => 0}) if $method eq 'RemoveContainer';
            $request = {container_id => $id, $method eq 'StopContainer' ? (timeout => 0) : ()};
        }
        $c->set_faults($runtime, $verb => $action);
        unlink "$runtime.log";
        my $call = $c->client->start($method, $request);
        my $reached = eval { wait_for('the runtime', sub { (slurp("$runtime.log") // '') =~ /^$verb$/m }, 5) };
        $c->crash;
        $c->end_hanging;
        $c->set_faults($runtime);
        $c->start;
        my ($found) = grep { $_->{metadata}{name} eq $config->{metadata}{name} } @{$c->call('ListContainers')->{containers}};
        $id = $found->{id} if $found;
        remove($id) if $id;
        $id = $c->run_container($pod, $pod_config, $config);
        remove($id);
        unlink glob "$pod_config->{log_directory}/*";
        my @difference;
        eval { wait_for('no difference', sub { !(@difference = grep { !/ descriptor / } Cricket::Leaks::difference($before, Cricket::Leaks::take($c))) }, 10) };
        ok !@difference, "killed in $method while $verb has to $action" . ($reached ? '' : ' (not reached)') . ': nothing is left'
          or diag join "\n", @difference;
    }
}
$c->remove_pod($pod);
$c->stop;
done_testing;
