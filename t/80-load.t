# Much at once: one thread, no long turn of the loop, nothing left.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;

my $c = Cricket->new(registry => 1);
$c->{config} = {log_level => 'info'};
$c->start;
$c->pull;
my $warm = $c->pod_config;
my $pod = $c->run_pod($warm);
$c->wait_exited($c->run_container($pod, $warm, $c->container_config('true')));
$c->remove_pod($pod);

sub threads { return scalar(my @t = glob "/proc/$c->{daemon_pid}/task/*") }

my $most = 0;
sub all {
    my @calls = @_;
    my @answers = map { my $o = $c->client->finish($_, 120); my $n = threads(); $most = $n if $n > $most; $o } @calls;
    is scalar(grep { $_->{code} } @answers), 0, scalar(@calls) . ' calls succeed'
      or diag join "\n", map { $_->{code} ? "$_->{code}: $_->{message}" : () } @answers;
    return map { $_->{reply} } @answers;
}

$c->leaks_nothing('twenty pods with their containers, pulls and commands, all at once', sub {
    my @config = map { $c->pod_config(name => "load$_") } 1 .. 20;
    mkdir $_->{log_directory} for @config;
    my @pulls = map { $c->client->start('PullImage', {image => {image => "$Cricket::REGISTRY/test/$_"}}) } qw(layers:1 user:1 inserted:1);
    my @pod = map { $_->{pod_sandbox_id} } all(map { $c->client->start('RunPodSandbox', {config => $_}) } @config);
    all(@pulls);
    my @id = map { $_->{container_id} } all(map {
        $c->client->start('CreateContainer', {pod_sandbox_id => $pod[$_], sandbox_config => $config[$_], config =>
            $c->container_config('i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; sleep 1000 & wait')})
    } 0 .. 19);
    all(map { $c->client->start('StartContainer', {container_id => $_}) } @id);
    all(map { my $id = $_; map { $c->client->start('ExecSync', {container_id => $id, cmd => ['echo', "$_"], timeout => 60}) } 1 .. 3 } @id);
    all(map { $c->client->start($_) } map { $_ % 2 ? 'ListContainers' : 'ListPodSandbox' } 1 .. 200);
    all(map { $c->client->start('StopPodSandbox', {pod_sandbox_id => $_}) } @pod);
    all(map { $c->client->start('RemovePodSandbox', {pod_sandbox_id => $_}) } @pod);
    all(map { $c->client->start('RemoveImage', {image => {image => "$Cricket::REGISTRY/test/$_"}}) } qw(layers:1 user:1 inserted:1));
    unlink glob "$c->{dir}/logs/*/*";
});
is $most, 1, 'the daemon had one thread all the time';

my ($info) = grep { /longestMicroseconds/ } values %{$c->call('Status', {verbose => JSON::PP::true()})->{info}};
my $turns = JSON::PP->new->decode($info)->{loop};
diag sprintf 'the loop under load: %d turns, the longest %.1f ms, %d above 5 ms', $turns->{turns}, $turns->{longestMicroseconds} / 1000, $turns->{over5Milliseconds};
cmp_ok $turns->{longestMicroseconds}, '<', 500_000, 'no turn of the loop is longer than half a second, whatever the machine does';
diag join '', grep { /^(Pss|Pss_Anon|Rss):/ } map { "$_\n" } split /\n/, slurp("/proc/$c->{daemon_pid}/smaps_rollup");
$c->stop;
done_testing;
