# The daemon's own helper programs fail: the keeper, the unpacker, the infra container's process.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;

my $c = Cricket->new(registry => 1);
my %helper = map { $_ => $c->fake('helper', $_, "$Cricket::BUILD/$_") } qw(cricket-keeper cricket-unpack);
symlink "$Cricket::BUILD/$_", "$c->{dir}/bin/$_" or die for qw(cricket-pause cricket-enter);
$c->{config} = {helper_dir => "$c->{dir}/bin"};
$c->start;
$c->remove_pod($c->run_pod($c->pod_config));

# ---- the keeper ----------------------------------------------------------------------------------------------------------
for my $action (qw(fail die quit garbage)) {
    my $config = $c->pod_config;
    $c->leaks_nothing("a keeper that has to $action", sub {
        $c->set_faults($helper{'cricket-keeper'}, run => $action);
        my $e = $c->fails('RunPodSandbox', {config => $config});
        like $e->{message}, qr/keeper/, "is told ($e->{code}: $e->{message})";
        $c->set_faults($helper{'cricket-keeper'});
        $c->remove_pod($c->run_pod($config));
    });
}
$c->leaks_nothing('a keeper that hangs', sub {
    my $config = $c->pod_config;
    $c->set_faults($helper{'cricket-keeper'}, run => 'hang');
    is $c->fails('RunPodSandbox', {config => $config}, timeout => 1)->{code}, 'DEADLINE_EXCEEDED', 'the deadline passes';
    $c->set_faults($helper{'cricket-keeper'});
    $c->end_hanging;
    $c->remove_pod(wait_for('the retry', sub { eval { $c->run_pod($config) } }, 30));
});

# ---- the unpacker --------------------------------------------------------------------------------------------------------
for my $action (qw(fail die quit garbage)) {
    $c->leaks_nothing("an unpacker that has to $action", sub {
        $c->set_faults($helper{'cricket-unpack'}, run => $action);
        my $e = $c->fails('PullImage', {image => {image => $Cricket::BUSYBOX}});
        like $e->{message}, qr/unpack|layer/, "is told ($e->{code}: $e->{message})";
        $c->set_faults($helper{'cricket-unpack'});
        $c->pull;
        $c->call('RemoveImage', {image => {image => $Cricket::BUSYBOX}});
    });
}
$c->leaks_nothing('an unpacker that hangs', sub {
    $c->set_faults($helper{'cricket-unpack'}, run => 'hang');
    is $c->fails('PullImage', {image => {image => $Cricket::BUSYBOX}}, timeout => 1)->{code}, 'DEADLINE_EXCEEDED', 'the deadline passes';
    $c->set_faults($helper{'cricket-unpack'});
    $c->end_hanging;
    wait_for('the retry', sub { eval { $c->pull } }, 30);
    $c->call('RemoveImage', {image => {image => $Cricket::BUSYBOX}});
});

# ---- the infra container's process is killed ---------------------------------------------------------------------------------
$c->pull;
$c->leaks_nothing('an infra container that is killed', sub {
    my $config = $c->pod_config(pid => 'POD');
    my $pod = $c->run_pod($config);
    my $id = $c->run_container($pod, $config,
        $c->container_config('sleep 1000', linux => {security_context => {namespace_options => {pid => 'POD'}}}));
    my ($pause) = map { /^(\d+) \S*pause/ } Cricket::Leaks::processes($c);
    ok $pause, 'there is one';
    kill KILL => $pause;
    is $c->wait_exited($id)->{exit_code}, 137, 'its containers end with it: the kernel kills what is in the namespace';
    wait_for('the pod to be not ready', sub {
        $c->call('PodSandboxStatus', {pod_sandbox_id => $pod})->{status}{state} eq 'SANDBOX_NOTREADY';
    });
    pass 'and the kubelet is told that the pod is not ready';
    $c->remove_pod($pod);
    unlink glob "$config->{log_directory}/*";
});
$c->stop;
done_testing;
