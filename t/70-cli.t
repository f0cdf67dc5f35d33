# The command line: each command against a real daemon, its exit codes, its errors, and that a run leaves nothing behind.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;

my $c = Cricket->new(registry => 1);
my $BIN = "$Cricket::BUILD/cricket";
my $IMAGE = $Cricket::BUSYBOX;

# (exit code, output and errors together)
sub cricket { return run($BIN, '--endpoint', "unix://$c->{socket}", @_) }

# Exit code and output in one go.
sub gives {
    my ($args, $code, $text, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($rc, $out) = cricket(@$args);
    return is($rc, $code, "$what: exit code $code") && like($out, $text, '... and output') || diag "cricket @$args: $out";
}

sub json { my ($rc, $out) = cricket(@_); return JSON::PP->new->decode($out) }

# ---- without a daemon ----------------------------------------------------------------------------------------------------
gives(['version'], 1, qr/client +cricket \d.*Is cricketd running\?/s, 'no daemon');
gives(['doctor', '--config', '/nonexistent'], 1, qr/^FAIL +configuration .*nonexistent.*^warn +daemon /ms, 'doctor without a daemon');
gives(['podz'], 2, qr/Did you mean `cricket pods`/, 'an unknown command');
gives(['ps', '--al'], 2, qr/no option --al.*Usage: cricket ps/s, 'an unknown option');
gives(['logs'], 2, qr/Usage: cricket logs/, 'a missing word');
gives(['help', 'run'], 0, qr/--publish/, 'help of a command');

$c->start;
gives(['version'], 0, qr/^server +cricket /m, 'version');
is json('version', '-o', 'json')->{server}{runtimeName}, 'cricket', 'version as JSON';
gives(['info'], 0, qr/^RuntimeReady +true/m, 'info');
gives(['doctor'], 0, qr/^ok +daemon +answers/m, 'doctor with a daemon');

# ---- images --------------------------------------------------------------------------------------------------------------
gives(['pull', "$Cricket::REGISTRY/test/nothing:1"], 1, qr/nothing/, 'pulling what is not there');
gives(['pull', $IMAGE], 0, qr/^sha256:[0-9a-f]{64}$/m, 'pull');
gives(['images'], 0, qr/^IMAGE +TAG .*^\Q$Cricket::REGISTRY\E\/test\/busybox +1 /ms, 'images');
is json('images', '-o', 'json')->{images}[0]{repoTags}[0], $IMAGE, 'images as JSON';
is json('inspect', $IMAGE)->{image}{repoTags}[0], $IMAGE, 'inspect finds the image';
gives(['image', 'rm', 'nothing:1'], 1, qr/no image/, 'removing an image that is not there');
gives(['image', 'rm', $IMAGE], 0, qr/\Q$IMAGE\E/, 'image rm');
gives(['image', 'import', '/nonexistent.tar'], 1, qr/nonexistent/, 'importing what is not there');
gives(['image', 'import', "$Cricket::TOOLS/images/oci.tar", '--name', 'local/imported:1'], 1, qr/without a name/, 'one name for several images');
run('skopeo', 'copy', '--insecure-policy', "oci:$Cricket::TOOLS/images/oci:layers", "oci-archive:$c->{dir}/one.tar");
gives(['image', 'import', "$c->{dir}/one.tar", '--name', 'local/imported:1'], 0, qr/^sha256:/m, 'image import');

# ---- run in the foreground -----------------------------------------------------------------------------------------------
gives(['run', '--rm', $IMAGE, 'sh', '-c', 'echo out; echo err >&2; exit 7'], 7, qr/out/, 'run pulls, prints and passes the code on');
gives(['run', '--rm', '-e', 'A=b c', '-v', "$c->{dir}:/mnt:ro", '--name', 'opts', $IMAGE, 'sh', '-c', 'echo "$A"; hostname; touch /mnt/x'], 1,
      qr/^b c\nopts\n.*Read-only/m, 'run with options');
gives(['run', '--rm', '--net', 'host', $IMAGE, 'cat', '/proc/sys/net/core/somaxconn'], 0, qr/^\d+$/m, 'run with the host\'s network');
gives(['run', '--rm', $IMAGE, 'no-such-program'], 1, qr/no-such-program/, 'a program that is not there');
gives(['run', '--rm', '--handler', 'nope', $IMAGE, 'true'], 1, qr/nope/, 'a handler that is not there');
gives(['run', '--rm', '-d', $IMAGE, 'true'], 2, qr/--rm/, '--rm with -d');
gives(['run', '-p', '80', $IMAGE, 'true'], 2, qr/HOST:CONTAINER/, 'a wrong port');
gives(['run', '-v', '/nonexistent:/x', $IMAGE, 'true'], 1, qr/nonexistent/, 'a source that is not there');
for my $run ([0, 'true'], [3, 'sh', '-c', 'exit 3'], [1, 'no-such-program']) {
    my ($code, @command) = @$run;
    $c->leaks_nothing("run --rm @command", sub { is((cricket('run', '--rm', $IMAGE, @command))[0], $code, "run @command") });
}
is_deeply [glob "$c->{dir}/cli-logs/*"], [], 'no logs are left';

# ---- interrupted ---------------------------------------------------------------------------------------------------------
sub interrupted {
    my ($script, @signals) = @_;
    my $log = "$c->{dir}/run-$$-" . ++$c->{names};
    my $pid = $c->spawn($log, argv => [$BIN, '--endpoint', "unix://$c->{socket}", 'run', '--rm', '--name', 'sig', $IMAGE, 'sh', '-c', $script]);
    wait_for('its output', sub { (slurp($log) // '') =~ /ready/ });
    for my $n (1 .. @signals) {
        kill $signals[$n - 1] => $pid;
        wait_for('the container to hear it', sub { slurp($log) =~ /heard/ }) if $n < @signals;
    }
    wait_for('the run to end', sub { waitpid($pid, POSIX::WNOHANG) == $pid });
    return ($? >> 8, slurp($log));
}
$c->leaks_nothing('an interrupted run', sub {
    my ($code, $out) = interrupted('trap "echo bye; exit 42" TERM; echo ready; while :; do sleep 0.05; done', 'INT');
    is $code, 42, 'SIGINT stops the container, whose code is passed on';
    like $out, qr/bye/, '... and its last words are shown';
});
$c->leaks_nothing('a run that is interrupted twice', sub {
    my $start = time;
    my ($code) = interrupted('trap "echo heard" TERM; echo ready; while :; do sleep 0.05; done', 'TERM', 'TERM');
    is $code, 137, 'the second signal kills';
    cmp_ok time - $start, '<', 9, '... and does not wait for the first';
});

# ---- run in the background, and what goes with it ------------------------------------------------------------------------
my ($rc, $id) = cricket('run', '-d', '--name', 'web', $IMAGE, 'sh', '-c', 'i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done');
chomp $id;
like $id, qr/^[0-9a-f]{64}$/, 'run -d prints the id';
gives(['run', '-d', '--name', 'web', $IMAGE, 'true'], 1, qr/already/, 'a name that is taken');
gives(['ps'], 0, qr/^\Q${\substr $id, 0, 13}\E .*busybox:1 .*Running +web /m, 'ps');
gives(['ps', '--pod', 'web', '-q'], 0, qr/^$id$/, 'ps of a pod, quiet');
gives(['pods', '--state', 'ready'], 0, qr/Ready +web +default/, 'pods');
gives(['pods', '-q', '--label', 'no=body'], 0, qr/^$/, 'pods by a label that none has');
is json('ps', '-o', 'json')->{containers}[0]{state}, 'CONTAINER_RUNNING', 'ps as JSON';
is json('inspect', 'web')->{status}{id}, $id, 'inspect by name';
is json('inspect', substr $id, 0, 8)->{status}{metadata}{name}, 'web', 'inspect by the start of an id';
gives(['stats', '-i', '0.2'], 0, qr/^CONTAINER +NAME +CPU % .*^\Q${\substr $id, 0, 13}\E +web +\d+\.\d\d +[\d.]+[kM]B +- /ms, 'stats');
gives(['stats', '-i', '0.2', 'web'], 0, qr/^\S+ +web +\d+\.\d\d [^\n]*\n\z/m, 'stats of one container');
gives(['stats', '-p', '-i', '0.2', 'web'], 0, qr/^POD ID .*PROCESSES.*^[0-9a-f]{13} +web +\d+\.\d\d +[\d.]+[kM]B +\d+ +[\d.]+k?B +/ms, 'stats of a pod');
gives(['stats', 'nobody'], 1, qr/no container/, 'stats of nothing');
gives(['stats', '-o', 'json', 'web'], 2, qr/leave out/, 'stats as JSON are of everything');
is json('stats', '-o', 'json')->{stats}[0]{attributes}{id}, $id, 'stats as JSON';
my $watched = "$c->{dir}/watched";
my $watcher = $c->spawn($watched, argv => [$BIN, '--endpoint', "unix://$c->{socket}", 'stats', '-w', '-i', '0.1']);
wait_for('three tables', sub { (() = (slurp($watched) // '') =~ /^CONTAINER/mg) >= 3 });
kill TERM => $watcher;
waitpid $watcher, 0;
gives(['inspect', 'nobody'], 1, qr/no container, pod or image/, 'inspect of nothing');
gives(['exec', 'web', 'sh', '-c', 'echo in; exit 5'], 5, qr/^in$/m, 'exec');
gives(['exec', '-it', 'web', 'sh'], 2, qr/-t needs a terminal/, 'exec -it without a terminal');
wait_for('some lines', sub { (cricket('logs', 'web'))[1] =~ /line 3/ });
my ($code, $tail) = cricket('logs', '--tail', '2', 'web');
is scalar(() = $tail =~ /^line \d+$/mg), 2, 'logs --tail';
gives(['logs', '-t', 'web'], 0, qr/^\d{4}-\d\d-\d\dT\S+Z line 1$/m, 'logs with times');

# The daemon dies and comes back: what follows goes on. Rotation in the middle loses no line.
my $followed = "$c->{dir}/followed";
my $follower = $c->spawn($followed, argv => [$BIN, '--endpoint', "unix://$c->{socket}", 'logs', '-f', 'web']);
my ($log) = glob "$c->{dir}/cli-logs/*/web.log";
wait_for('the first lines', sub { (slurp($followed) // '') =~ /line 2/ });
rename $log, "$log.1" or die;
$c->call('ReopenContainerLog', {container_id => $id});
$c->crash;
$c->start;
my ($last) = (cricket('logs', '--tail', '1', 'web'))[1] =~ /(\d+)/;
wait_for('lines after the restart', sub { slurp($followed) =~ /^line ${\($last + 1)}$/m });
gives(['rm', 'web'], 1, qr/runs.*-f/, 'rm of what runs');
gives(['stop', '-t', '0', 'web'], 0, qr/^web$/m, 'stop');
wait_for('logs -f to end', sub { waitpid($follower, POSIX::WNOHANG) == $follower });
is $?, 0, 'logs -f ends with the container';
my @seen = slurp($followed) =~ /^line (\d+)$/mg;
is_deeply \@seen, [1 .. @seen], '... and no line is lost or doubled';
gives(['ps'], 0, qr/^CONTAINER[^\n]*\n$/, 'ps shows what runs');
gives(['ps', '-a'], 0, qr/Exited +web/, 'ps -a shows all');
gives(['exec', 'web', 'true'], 1, qr/does not run/, 'exec in what does not run');
gives(['rm', 'web'], 0, qr/^web$/m, 'rm');
is_deeply [json('ps', '-a', '-o', 'json')->{containers}, json('pods', '-o', 'json')->{items}], [[], []], 'nothing is left';
is_deeply [glob "$c->{dir}/cli-logs/*"], [], '... no logs either';

# A port of the host.
cricket('run', '-d', '--name', 'port', '-p', '18080:80', $IMAGE, 'sh', '-c', 'mkdir /www; echo page > /www/index.html; exec httpd -f -p 80 -h /www');
my ($ip) = map { $_->{status}{network}{ip} } json('inspect', (cricket('pods', '-q'))[1] =~ /(\w+)/);
ok eval { wait_for('the page', sub { (run('curl', '-s', "http://$ip/"))[1] eq "page\n" }) },
  'the pod serves at its address';
like((run('iptables-save'))[1], qr/18080.*:80/, 'the port is mapped');
gives(['rm', '-f', 'port'], 0, qr/port/, 'rm -f');
unlike((run('iptables-save'))[1], qr/18080/, '... takes the mapping with it');

# A pod of somebody else's.
my $pod = $c->pod_config(name => 'other');
my $pod_id = $c->run_pod($pod);
my $container = $c->run_container($pod_id, $pod, $c->container_config('sleep 1000', name => 'main',
    linux => {security_context => {namespace_options => {pid => 'CONTAINER'}}}));
gives(['stop', '-t', '0', 'main'], 0, qr/main/, 'stop of a container');
is json('pods', '-o', 'json')->{items}[0]{state}, 'SANDBOX_READY', '... leaves its pod alone';
gives(['rm', 'main'], 0, qr/main/, 'rm of a container');
gives(['rm', 'other', 'nobody'], 1, qr/^other$/m, 'rm of a pod and of nobody');
is_deeply json('pods', '-o', 'json')->{items}, [], '... removes the pod';

$c->stop;
done_testing;
