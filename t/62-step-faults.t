# The steps that the daemon does by itself fail for real reasons: a path that is no directory, a store that is locked. Each
# undoes what came before it, and the retry with the same metadata succeeds.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;
use IO::Handle;

my $c = Cricket->new(registry => 1);
$c->start;
$c->pull;
$c->remove_pod($c->run_pod($c->pod_config));

# Puts a file in the place of a directory while $code runs.
sub without_directory {
    my ($dir, $code) = @_;
    rename $dir, "$dir.away" or die "$dir: $!\n";
    spew($dir, '');
    $code->();
    unlink $dir;
    rename "$dir.away", $dir or die "$dir: $!\n";
}

# Another process holds the store's write lock while $code runs.
sub with_locked_store {
    my ($code) = @_;
    my $db = "$c->{root}/store.db";
    open my $holder, '|-', 'sqlite3', $db or die "sqlite3: $!\n";
    $holder->autoflush;
    print $holder "BEGIN IMMEDIATE;\n";
    wait_for('the lock', sub { (run('sqlite3', $db, 'BEGIN IMMEDIATE; COMMIT;'))[0] != 0 });
    $code->();
    print $holder "ROLLBACK;\n";
    close $holder;
}

# ---- a pod's steps -------------------------------------------------------------------------------------------------------
my %pod_faults = (
    files  => [sub { without_directory("$c->{state}/pods", $_[0]) }, qr{/pods/}],
    commit => [\&with_locked_store, qr/store .*locked/],
);
for my $step (sort keys %pod_faults) {
    my ($break, $message) = @{$pod_faults{$step}};
    my $config = $c->pod_config;
    $c->leaks_nothing("RunPodSandbox whose step \"$step\" fails", sub {
        my $e;
        $break->(sub { $e = $c->fails('RunPodSandbox', {config => $config}) });
        like $e->{message}, $message, "$step: says what is wrong ($e->{code})" or diag $e->{message};
        my $id = $c->run_pod($config);
        is $c->call('PodSandboxStatus', {pod_sandbox_id => $id})->{status}{state}, 'SANDBOX_READY', "$step: the retry succeeds";
        $c->remove_pod($id);
    });
}

# ---- a container's steps -------------------------------------------------------------------------------------------------
my $pod_config = $c->pod_config;
my $pod = $c->run_pod($pod_config);
# the first container makes the pod's cgroups, which stay as long as the pod
$c->call('RemoveContainer', {container_id => $c->run_container($pod, $pod_config, $c->container_config('sleep 1000'))});
unlink glob "$pod_config->{log_directory}/*";
my %container_faults = (
    files             => [sub { without_directory("$c->{state}/containers", $_[0]) }, qr{/containers/}],
    'root filesystem' => [sub { without_directory("$c->{root}/containers", $_[0]) },  qr{/containers/}],
    commit            => [\&with_locked_store, qr/store .*locked/],
);
for my $step (sort keys %container_faults) {
    my ($break, $message) = @{$container_faults{$step}};
    my $config = $c->container_config('sleep 1000');
    $c->leaks_nothing("CreateContainer whose step \"$step\" fails", sub {
        my $e;
        $break->(sub { $e = $c->fails('CreateContainer', {pod_sandbox_id => $pod, config => $config, sandbox_config => $pod_config}) });
        like $e->{message}, $message, "$step: says what is wrong ($e->{code})" or diag $e->{message};
        my $id = $c->create_container($pod, $pod_config, $config);
        is $c->container_status($id)->{state}, 'CONTAINER_CREATED', "$step: the retry succeeds";
        $c->call('RemoveContainer', {container_id => $id});
    });
}

# What the request asks of the host: refused in the step "host paths" or "bundle", and made well by the next request.
for my $row (
    ['a mount source below a file', {mounts => [{container_path => '/x', host_path => '/etc/passwd/x'}]}, qr{/etc/passwd}],
    ['a device that is not there', {devices => [{container_path => '/dev/x', host_path => '/dev/no-such', permissions => 'rw'}]}, qr{/dev/no-such}],
    ['a seccomp profile that is not there', {linux => {security_context => {namespace_options => {pid => 'CONTAINER'},
        seccomp => {profile_type => 'Localhost', localhost_ref => '/no/such.json'}}}}, qr{/no/such\.json}],
  ) {
    my ($what, $over, $message) = @$row;
    $c->leaks_nothing("a container with $what", sub {
        my $good = $c->container_config('sleep 1000');
        my $e = $c->fails('CreateContainer', {pod_sandbox_id => $pod, config => {%$good, %$over}, sandbox_config => $pod_config});
        like $e->{message}, $message, "$what: is named ($e->{code})" or diag $e->{message};
        $c->call('RemoveContainer', {container_id => $c->create_container($pod, $pod_config, $good)});
    });
}

# ---- stop and remove: what fails can be asked for again ------------------------------------------------------------------
for my $row (['StartContainer', 'CONTAINER_CREATED'], ['StopPodSandbox', undef], ['RemoveContainer', undef]) {
    my ($method) = @$row;
    $c->leaks_nothing("$method while the store is locked", sub {
        my $id = $method eq 'StopPodSandbox' ? $c->run_pod($c->pod_config(name => 'locked'))
                                             : $c->create_container($pod, $pod_config, $c->container_config('sleep 1000'));
        my %request = $method eq 'StopPodSandbox' ? (pod_sandbox_id => $id) : (container_id => $id);
        my $e;
        with_locked_store(sub { $e = $c->fails($method, \%request) });
        like $e->{message}, qr/store .*locked/, "$method: says what is wrong ($e->{code})" or diag $e->{message};
        $c->call($method, \%request);
        pass "$method: the retry succeeds";
        $c->call('RemoveContainer', \%request) if $method eq 'StartContainer';
        $c->call('RemovePodSandbox', \%request) if $method eq 'StopPodSandbox';
        unlink glob "$pod_config->{log_directory}/*";
    });
}
$c->remove_pod($pod);
$c->stop;
done_testing;
