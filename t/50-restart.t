# The daemon is killed while containers run and print, and comes back: nothing is lost, everything goes on.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;

my $c = Cricket->new(registry => 1);
$c->start;
$c->pull;
$c->remove_pod($c->run_pod($c->pod_config));
my $before = $c->settled;

my $pod_config = $c->pod_config(name => 'survivor');
my $pod = $c->run_pod($pod_config);
my %config = (
    printer => $c->container_config('i=0; while [ ! -e /tmp/stop ]; do echo $i; i=$((i+1)); done; echo end $i', name => 'printer'),
    sleeper => $c->container_config(q{trap 'exit 7' TERM; while :; do sleep 0.1; done}, name => 'sleeper'),
    short   => $c->container_config('while [ ! -e /tmp/stop ]; do sleep 0.01; done; exit 42', name => 'short'),
    tty     => $c->container_config('while [ ! -e /tmp/stop ]; do sleep 0.01; done; echo from tty; exit 9', name => 'tty', tty => JSON::PP::true()),
);
my %id = map { $_ => $c->run_container($pod, $pod_config, $config{$_}) } sort keys %config;
my $created = $c->create_container($pod, $pod_config, $c->container_config('exit 6', name => 'created'));
my %pid = map { $_ => ($c->exec_sync($id{$_}, 'sh', '-c', 'cut -d" " -f1 /proc/1/stat; cut -d" " -f22 /proc/1/stat'))[1] } keys %id;
my %status = map { $_ => $c->container_status($id{$_}) } keys %id;
my $pod_status = $c->call('PodSandboxStatus', {pod_sandbox_id => $pod})->{status};

my %list = map { my $method = $_; $method => [map { $c->call($method) } 1, 2] } qw(ListContainers ListPodSandbox);    # the second is of what the first has packed

sub stop_file { $c->exec_sync($id{$_[0]}, 'touch', '/tmp/stop') }

$c->crash;
my %log_at_crash = map { $_ => length(slurp("$pod_config->{log_directory}/$_.log") // '') } qw(printer);
wait_for('the printer to go on without a daemon', sub { length slurp("$pod_config->{log_directory}/printer.log") > $log_at_crash{printer} + 10000 });
pass 'output is written while no daemon runs';

$c->start;
is_deeply $c->call('PodSandboxStatus', {pod_sandbox_id => $pod})->{status}, $pod_status, 'the pod is as it was';
is_deeply $c->container_status($id{$_}), $status{$_}, "$_ is as it was" for sort keys %id;
sub by_id { my ($list) = @_; return {map { $_->{id} => $_ } @{$list->{containers} // $list->{items}}} }
for my $method (sort keys %list) {
    is_deeply by_id($list{$method}[1]), by_id($list{$method}[0]), "$method twice gives the same";
    is_deeply by_id($c->call($method)), by_id($list{$method}[0]), '... as does a new daemon';
}
is $c->container_status($created)->{state}, 'CONTAINER_CREATED', 'the created container is as it was';
is +($c->exec_sync($id{$_}, 'sh', '-c', 'cut -d" " -f1 /proc/1/stat; cut -d" " -f22 /proc/1/stat'))[1], $pid{$_}, "$_ is the same process" for sort keys %id;

# ---- exits while the daemon is down --------------------------------------------------------------------------------------
stop_file('printer');
my $s = $c->wait_exited($id{printer});
is $s->{exit_code}, 0, 'the printer ends well';
my @lines = split /\n/, $c->log_text($pod_config, $config{printer});
my $last = pop @lines;
is $last, 'end ' . @lines, 'its log is complete';
is scalar(grep { $lines[$_] ne $_ } 0 .. $#lines), 0, '... and in order';

for my $name (qw(short tty)) {
    my $status = $c->call('ContainerStatus', {container_id => $id{$name}, verbose => JSON::PP::true()});
    my $n = JSON::PP::decode_json($status->{info}{info})->{pid};
    ok $n, "$name has a process here" or next;
    $id{"$name pid"} = $n;
}
$c->crash;
spew("/proc/$id{\"$_ pid\"}/root/tmp/stop", '') for qw(short tty);
wait_for('both to end', sub { !grep { -e "/proc/$id{\"$_ pid\"}" } qw(short tty) });
my $ended = time;
$c->start;
for my $row ([short => 42], [tty => 9]) {
    my $s = $c->wait_exited($id{$row->[0]});
    is $s->{exit_code}, $row->[1], "$row->[0] ended while no daemon ran: $row->[1]";
    cmp_ok abs($s->{finished_at} / 1e9 - $ended), '<', 5, '... at the time when it did';
}
like $c->log_text($pod_config, $config{tty}), qr/from tty/, 'and its last words are in the log';

# ---- it goes on ----------------------------------------------------------------------------------------------------------
$c->call('StartContainer', {container_id => $created});
is $c->wait_exited($created)->{exit_code}, 6, 'a container created before is started after';
$c->call('StopContainer', {container_id => $id{sleeper}, timeout => 10});
is $c->container_status($id{sleeper})->{exit_code}, 7, 'a container started before is stopped after';
is $c->run_pod($pod_config), $pod, 'names stay reserved';

# ---- an orderly stop leaves containers alone too -------------------------------------------------------------------------
my $again = $c->run_container($pod, $pod_config, $c->container_config('sleep 1000'));
$c->stop;
$c->start;
is $c->container_status($again)->{state}, 'CONTAINER_RUNNING', 'a container outlives an orderly stop';

# ---- a daemon that finds a half of it gone -------------------------------------------------------------------------------
my ($keeper) = map { /^(\d+) \S*cricket-keeper/ } Cricket::Leaks::processes($c);
ok $keeper, 'the pod has a keeper';
$c->crash;
kill KILL => $keeper;
$c->start;
$s = $c->container_status($again);
ok $s->{state} =~ /RUNNING|EXITED/, "without its keeper a container is $s->{state}, and the daemon lives";
$c->remove_pod($pod);
$c->is_as_before($before, 'all of it', but => qr/ descriptor /);
$c->stop;
done_testing;
